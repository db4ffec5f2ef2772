package main

import (
	"strings"

	"grapnel/internal/signature"
)

type keygenCmd struct {
	Kind    string `enum:"hmac,ed25519" default:"hmac" placeholder:"KIND" help:"What it signs with: hmac (a secret that both sides know) or ed25519 (a private key, of which receivers get the public one) (default ${default})."`
	Dialect string `default:"standard" placeholder:"NAME" help:"Contract whose form the secret has (default ${default})."`
	Public  bool   `help:"Print the public key of the private key on standard input, and make nothing."`
}

// Help gives examples.
func (*keygenCmd) Help() string {
	return `A new secret is printed on standard output and kept nowhere: send it to a file that nobody
else can read. Of an ed25519 key the receiver needs the public half alone.

Examples:

    (umask 077; grapnel keygen > secret.key)
    grapnel keygen --kind ed25519 > private.key && grapnel keygen --public < private.key > public.key
    grapnel keygen --kind ed25519 --json`
}

// keyShape is what --json prints.
type keyShape struct {
	Dialect string `json:"dialect"`
	Kind    string `json:"kind"`
	Secret  string `json:"secret,omitempty"`
	Public  string `json:"public,omitempty"`
}

// Run makes a secret, or a public key of one.
func (c *keygenCmd) Run(p *program) error {
	d, err := dialectNamed(c.Dialect)
	if err != nil {
		return err
	}
	out := keyShape{Dialect: d.Name(), Kind: c.Kind}
	if c.Public {
		private, err := readSecret("-", p.stdin)
		if err != nil {
			return err
		}
		if out.Public, err = signature.PublicKeyOf(private); err != nil {
			return fail(exitInvalid, "standard input must be a private key, whsk_…, as grapnel keygen --kind ed25519 makes it", "%w", err)
		}
		out.Kind = "ed25519"
		return c.print(p, &out, out.Public)
	}
	secret, err := d.NewSecretOf(c.Kind == "ed25519")
	if err != nil {
		return fail(exitUsage, "choose another --kind or --dialect", "%w", err)
	}
	if strings.HasPrefix(string(secret), signature.PrivatePrefix) {
		if out.Public, err = signature.PublicKeyOf(secret); err != nil {
			return err
		}
	}
	out.Secret = string(secret)
	return c.print(p, &out, out.Secret)
}

func (c *keygenCmd) print(p *program, k *keyShape, text string) error {
	if p.JSON {
		return p.object(k)
	}
	return p.printf("%s\n", text)
}
