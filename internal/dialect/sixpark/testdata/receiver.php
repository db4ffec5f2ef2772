<?php
// A receiver by the words of the vendor's page: the HMAC of the raw body with
// the token as it was returned, compared with the header. Its answer to a genuine
// request is 200.

$body = file_get_contents('php://input');
$given = $_SERVER['HTTP_X_SIXPARK_SIGNATURE'] ?? '';

if (! hash_equals(hash_hmac('sha256', $body, getenv('SECRET')), $given)) {
    http_response_code(401);

    return;
}

http_response_code(json_decode($body)->data->type === 'webhook-event' ? 200 : 422);
