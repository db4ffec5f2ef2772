<?php
// The same receiver by the other reading of its page: the payload is what was
// decoded, as the page decodes it, written again by PHP (SM-S3).

class WebhookController extends Controller
{
    public function handleVariantDesigned(Request $request)
    {
        $payload = json_encode(json_decode($request->getContent(), true));

        if (! $this->hasValidSignature($request, $payload)) {
            // Handle invalid Signature
            return response()->setStatusCode(422);
        }

        // Handle Payload
        return response()->setStatusCode(200);
    }

    protected function hasValidSignature(Request $request, string $payload): bool
    {
        $token = config('my-secret-token');

        return $request->header('X-Signature') === 'sha1='.hash_hmac('sha1', $payload, $token);
    }
}
