<?php
// A receiver with the snippet of the vendor's document as it is printed. What
// the snippet takes from Laravel stands in stubs.php.
ini_set('display_errors', '0');
require __DIR__ . '/stubs.php';

class Receiver
{
    public function validateResthook(\Illuminate\Http\Request $request)
    {
        $signature = $request->header('X-C1st-Webhook-Signature');

        $secret = "resthook_super_secret_1337";

        $payload = $request->getContent();
        $calculated_hmac = base64_encode(hash_hmac('sha256', $payload, $secret, true));

        if ($signature != $calculated_hmac) {
            abort(401, 'Webhook failed signature check');
        }
    }
}

(new Receiver)->validateResthook(new \Illuminate\Http\Request);
