<?php
// A receiver with the function of the vendor's document as it is printed. What
// stands around it is as in the document too, but that it reads the secret from
// the environment and answers.
ini_set('display_errors', '0');

function verify_signature($requestBody, $signature, $secret) {
  $hash = hash_hmac('sha256', $requestBody, $secret);
  return hash_equals($hash, $signature);
}

// Usage example within a WordPress context
$requestBody = file_get_contents('php://input');
$providedSignature = $_SERVER['HTTP_X_PROPSTACK_SIGNATURE'];
$secret = getenv('SECRET');

if (verify_signature($requestBody, $providedSignature, $secret)) {
  http_response_code(200);
} else {
  http_response_code(403);
}
