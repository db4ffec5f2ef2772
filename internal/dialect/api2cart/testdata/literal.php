<?php
// A receiver that knows the headers of the vendor's example by their names, in
// the case that they are printed in, and looks for no others.
ini_set('display_errors', '0');

$sent = getallheaders();
$headersForJson = [
    'X-Webhook-Error-Code' => $sent['X-Webhook-Error-Code'],
    'X-Webhook-Action' => $sent['X-Webhook-Action'],

    'X-Webhook-Timestamp' => $sent['X-Webhook-Timestamp'],

    'X-Webhook-Entity' => $sent['X-Webhook-Entity'],

    'X-Webhook-Store-Id' => $sent['X-Webhook-Store-Id'],

    'X-Webhook-Signature' => $sent['X-Webhook-Signature'],

  ];
$signatureFromRequest = $headersForJson['X-Webhook-Signature'];
unset($headersForJson['X-Webhook-Signature']);
ksort($headersForJson);
$data = json_encode($headersForJson) . file_get_contents('php://input');
$generatedSignature = base64_encode(hash_hmac('sha256', $data, getenv('SECRET'), true));
http_response_code(hash_equals($signatureFromRequest, $generatedSignature) ? 200 : 403);
