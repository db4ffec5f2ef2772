<?php
// The receiver as the vendor's page prints it, but for one line: as printed it
// decodes the body and hands the array to a parameter of type string, which
// PHP refuses. Here $payload is the body.

class WebhookController extends Controller
{
    public function handleVariantDesigned(Request $request)
    {
        $payload = $request->getContent();

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
