<?php
// What the vendor's controller needs of Laravel, and no more. CONTROLLER names
// the file of the controller, SECRET is the token.

class Controller
{
}

class Request
{
    public function getContent(): string
    {
        return file_get_contents('php://input');
    }

    public function header(string $name): ?string
    {
        return $_SERVER['HTTP_'.strtoupper(strtr($name, '-', '_'))] ?? null;
    }
}

class Response
{
    public function setStatusCode(int $status): self
    {
        http_response_code($status);

        return $this;
    }
}

function response(): Response
{
    return new Response();
}

function config(string $name): string
{
    return getenv('SECRET');
}

require __DIR__.'/'.getenv('CONTROLLER');

(new WebhookController())->handleVariantDesigned(new Request());
