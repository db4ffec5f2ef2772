<?php
// A receiver with the vendor's PHP as it is printed, between the two lines.
// What stands around it does what the document's steps 1 to 3 say: it gathers
// the headers of the request, its raw body and the store_key.
ini_set('display_errors', '0');

$headersForJson = array_filter(getallheaders(), fn ($name) => strpos($name, 'X-Webhook-') === 0, ARRAY_FILTER_USE_KEY);
$params = ['raw_body' => file_get_contents('php://input')];

function authentic($headersForJson, $params, $storeKey)
{
// ----
$signatureFromRequest = $headersForJson['X-Webhook-Signature'];

unset($headersForJson['X-Webhook-Signature']);

ksort($headersForJson);

$headers = json_encode($headersForJson);

$data = $headers . $params['raw_body'];

$generatedSignature = base64_encode(hash_hmac('sha256', $data, $storeKey, true));

if (hash_equals($signatureFromRequest, $generatedSignature)) {

 return true;

}
// ----
return false;
}

http_response_code(authentic($headersForJson, $params, getenv('SECRET')) ? 200 : 403);
