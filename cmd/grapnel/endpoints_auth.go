package main

import (
	"encoding/json"
	"os"
	"strings"

	"grapnel/client"
)

// authFields is how requests and connections to an endpoint show who makes them. What
// is secret comes from files, for others on the machine can read the command line.
type authFields struct {
	Auth           string `placeholder:"@FILE" help:"How its requests authenticate themselves beside their signature: a file with JSON such as {\"type\":\"bearer\",\"token\":\"…\"}, written as @FILE, or - for standard input. Types are basic, bearer and oauth2."`
	TLSCertificate string `name:"tls-certificate" placeholder:"FILE" help:"Client certificate to show to the endpoint, with its intermediates, in PEM."`
	TLSKey         string `name:"tls-key" placeholder:"FILE" help:"Private key of the certificate in PEM, without a passphrase; - for standard input."`
	TLSCA          string `name:"tls-ca" placeholder:"FILE" help:"The only authorities that the endpoint's certificate may come from, in PEM (default those of the server's system)."`
}

// fill reads the files.
func (f *authFields) fill(in *client.EndpointInput, p *program) error {
	if f.Auth == "-" && f.TLSKey == "-" {
		return fail(exitUsage, "name a file for one of them", "--auth and --tls-key cannot both be standard input")
	}
	if f.Auth != "" {
		auth, err := f.readAuth(p)
		if err != nil {
			return err
		}
		in.Auth = client.Set(auth)
	}
	var tls client.TLSInput
	for _, part := range []struct {
		flag, file string
		into       *client.Field[string]
	}{{"tls-certificate", f.TLSCertificate, &tls.Certificate}, {"tls-ca", f.TLSCA, &tls.CA}} {
		if part.file == "" {
			continue
		}
		text, err := os.ReadFile(part.file)
		if err != nil {
			return fail(exitUsage, "name a file that this user can read", "--%s cannot be read: %w", part.flag, err)
		}
		*part.into = client.Set(string(text))
	}
	if f.TLSKey != "" {
		key, err := readSecret(f.TLSKey, p.stdin)
		if err != nil {
			return err
		}
		tls.Key = client.Set(string(key))
	}
	if tls != (client.TLSInput{}) {
		in.TLS = client.Set(tls)
	}
	return nil
}

// readAuth reads the JSON of --auth, and never quotes it.
func (f *authFields) readAuth(p *program) (out client.EndpointAuth, err error) {
	file, named := strings.CutPrefix(f.Auth, "@")
	if !named && f.Auth != "-" {
		return out, fail(exitUsage, "write it into a file and name it as --auth @FILE, or give it by standard input: --auth -", "--auth holds secrets, and others could read it on the command line")
	}
	text, err := readSecret(file, p.stdin)
	if err != nil {
		return out, err
	}
	strict := json.NewDecoder(strings.NewReader(string(text)))
	strict.DisallowUnknownFields()
	if strict.Decode(&out) != nil || strict.More() {
		return out, fail(exitInvalid, `it looks like {"type":"basic","username":"…","password":"…"}; the types are basic, bearer and oauth2`, "--auth is not a JSON object with the members of auth")
	}
	return out, nil
}

// authRows tells of an endpoint's auth and certificates.
func authRows(e *client.Endpoint) (all []field) {
	if a := e.Auth; a != nil {
		all = append(all, field{"auth", a.Type})
		for _, row := range []field{
			{"user name", a.Username}, {"token url", a.TokenURL}, {"client id", a.ClientID}, {"scope", a.Scope}, {"audience", a.Audience},
		} {
			if row.value != "" {
				all = append(all, row)
			}
		}
	}
	if t := e.TLS; t != nil {
		if t.Certificate != "" {
			all = append(all, field{"client certificate", t.Subject}, field{"expires", when(t.NotAfter)}, field{"sha256", t.SHA256})
		}
		if t.CA != "" {
			all = append(all, field{"trusts", "authorities of its own alone"})
		}
	}
	return all
}

type endpointsSecretRevealCmd struct{ oneEndpoint }

// Help gives examples.
func (*endpointsSecretRevealCmd) Help() string {
	return `The audit log notes who asked. Of private keys the public one is shown.

Examples:

    grapnel endpoints secret reveal "$ENDPOINT"
    grapnel endpoints secret reveal "$ENDPOINT" --json`
}

// Run reveals.
func (c *endpointsSecretRevealCmd) Run(p *program) error {
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	r, err := api.RevealSecret(ctx, tenant, c.ID)
	if err != nil {
		return err
	}
	if p.JSON {
		return p.object(r)
	}
	t := p.newTable("SECRET", "MADE", "SIGNS UNTIL")
	for _, s := range r.Secrets {
		text, until := s.PublicKey, "no end is set"
		if s.Secret != nil {
			text = *s.Secret
		}
		if s.ExpiresAt != nil {
			until = when(s.ExpiresAt)
		}
		if err := t.row(text, when(&s.CreatedAt), until); err != nil {
			return err
		}
	}
	return t.end()
}
