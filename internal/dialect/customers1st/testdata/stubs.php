<?php
// The two methods of a request and the function that the snippet needs.

namespace Illuminate\Http {
    class Request
    {
        public function header($name)
        {
            return $_SERVER['HTTP_' . strtoupper(str_replace('-', '_', $name))] ?? null;
        }

        public function getContent()
        {
            return file_get_contents('php://input');
        }
    }
}

namespace {
    function abort($status, $message)
    {
        http_response_code($status);
        exit($message);
    }
}
