package api

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/http"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// authInput is how an endpoint's requests authenticate themselves, in requests.
type authInput struct {
	Type         string  `json:"type" doc:"basic (username, password), bearer (token), or oauth2: a token got by client credentials; none: no Authorization header" enum:"basic,bearer,oauth2,none" example:"oauth2"`
	Username     *string `json:"username" doc:"of basic"`
	Password     *string `json:"password" doc:"of basic; absent, or [secret]: as it is"`
	Token        *string `json:"token" doc:"of bearer, without the word Bearer; absent, or [secret]: as it is"`
	TokenURL     *string `json:"token_url" doc:"of oauth2: where tokens are asked for; with https, unless the endpoint's own url is without" example:"https://login.example.com/oauth/token"`
	ClientID     *string `json:"client_id" doc:"of oauth2" example:"grapnel"`
	ClientSecret *string `json:"client_secret" doc:"of oauth2; absent, or [secret]: as it is, if token_url is" example:"7f3a9c2e5b8d"`
	Scope        *string `json:"scope" doc:"of oauth2: what is asked for; absent: nothing in particular" example:"hooks.write"`
	Audience     *string `json:"audience" doc:"of oauth2: whom the token is for, for servers that want it; absent: not sent"`
	ClientAuth   *string `json:"client_auth" doc:"of oauth2: how id and secret are sent: in the Authorization header, or in the body; absent: basic" enum:"basic,body" example:"basic"`
}

// authShape is the same in answers.
type authShape struct {
	Type         string `json:"type" doc:"basic, bearer or oauth2" enum:"basic,bearer,oauth2" example:"oauth2"`
	Username     string `json:"username,omitzero" doc:"of basic"`
	Password     string `json:"password,omitzero" doc:"of basic: [secret]"`
	Token        string `json:"token,omitzero" doc:"of bearer: [secret]"`
	TokenURL     string `json:"token_url,omitzero" doc:"of oauth2: where tokens are asked for" example:"https://login.example.com/oauth/token"`
	ClientID     string `json:"client_id,omitzero" doc:"of oauth2" example:"grapnel"`
	ClientSecret string `json:"client_secret,omitzero" doc:"of oauth2: [secret]" example:"[secret]"`
	Scope        string `json:"scope,omitzero" doc:"of oauth2: what is asked for" example:"hooks.write"`
	Audience     string `json:"audience,omitzero" doc:"of oauth2: whom the token is for"`
	ClientAuth   string `json:"client_auth,omitzero" doc:"of oauth2: how id and secret are sent" enum:"basic,body" example:"basic"`
}

// tlsInput is what connections to an endpoint are made with, in requests.
type tlsInput struct {
	Certificate field[string] `json:"certificate" doc:"client certificate to show, with its intermediates, in PEM; absent: as it is, null: none"`
	Key         field[string] `json:"key" doc:"private key of the certificate in PEM, without a passphrase; absent, or [secret]: as it is"`
	CA          field[string] `json:"ca" doc:"the only authorities that the endpoint's certificate may come from, in PEM; absent: as they are, null: those of the system"`
	Subject     raw           `json:"subject" doc:"as it is shown; not read"`
	NotAfter    raw           `json:"not_after" doc:"as it is shown; not read"`
	SHA256      raw           `json:"sha256" doc:"as it is shown; not read"`
}

// tlsShape is the same in answers.
type tlsShape struct {
	Certificate string `json:"certificate,omitzero" doc:"client certificate with its intermediates, in PEM"`
	Key         string `json:"key,omitzero" doc:"[secret], where there is a certificate"`
	CA          string `json:"ca,omitzero" doc:"the only authorities that the endpoint's certificate may come from, in PEM; absent: those of the system"`
	Subject     string `json:"subject,omitzero" doc:"whose the certificate is" example:"CN=acme"`
	NotAfter    stamp  `json:"not_after,omitzero" doc:"when the certificate expires"`
	SHA256      string `json:"sha256,omitzero" doc:"fingerprint of the certificate: SHA-256 of its DER form, in hex"`
}

// authOf reads what a request says of an endpoint's auth.
func authOf(in field[*authInput]) (*manage.AuthInput, error) {
	if !in.given {
		return nil, nil
	}
	out := new(manage.AuthInput)
	if in.value == nil || in.value.Type == noAuth {
		return out, nil
	}
	a := in.value
	if a.Type == "" {
		return nil, hook.Invalid("/auth/type", "is missing: want basic, bearer, oauth2 or none")
	}
	out.Type = hook.AuthType(a.Type)
	for _, m := range []struct {
		name  string
		given *string
		of    hook.AuthType
		into  func(string)
	}{
		{"username", a.Username, hook.AuthBasic, func(s string) { out.Name = s }},
		{"password", a.Password, hook.AuthBasic, func(s string) { out.Secret = hook.Secret(s) }},
		{"token", a.Token, hook.AuthBearer, func(s string) { out.Secret = hook.Secret(s) }},
		{"token_url", a.TokenURL, hook.AuthOAuth2, func(s string) { out.TokenURL = s }},
		{"client_id", a.ClientID, hook.AuthOAuth2, func(s string) { out.Name = s }},
		{"client_secret", a.ClientSecret, hook.AuthOAuth2, func(s string) { out.Secret = hook.Secret(s) }},
		{"scope", a.Scope, hook.AuthOAuth2, func(s string) { out.Scope = s }},
		{"audience", a.Audience, hook.AuthOAuth2, func(s string) { out.Audience = s }},
		{"client_auth", a.ClientAuth, hook.AuthOAuth2, func(s string) { out.InBody = s == inBody }},
	} {
		switch {
		case m.given == nil:
		case m.of != out.Type:
			return nil, hook.Invalid("/auth/"+m.name, "has no place in auth of the type %s", hook.Clip(a.Type))
		default:
			m.into(*m.given)
		}
	}
	if a.ClientAuth != nil && *a.ClientAuth != inBody && *a.ClientAuth != inHeader {
		return nil, hook.Invalid("/auth/client_auth", "%q is no way to send them: want basic or body", hook.Clip(*a.ClientAuth))
	}
	return out, nil
}

// noAuth is the type of no auth, and the others how a client's id and secret go.
const (
	noAuth   = "none"
	inHeader = "basic"
	inBody   = "body"
)

// tlsOf reads what a request says of an endpoint's tls.
func tlsOf(in field[*tlsInput]) *manage.TLSInput {
	if !in.given {
		return nil
	}
	if in.value == nil {
		return &manage.TLSInput{None: true}
	}
	return &manage.TLSInput{Certificate: in.value.Certificate.pointer(), Key: hook.Secret(in.value.Key.value), CA: in.value.CA.pointer()}
}

// access fills in how an endpoint's requests and connections show who makes them.
func access(out *manage.EndpointInput, auth field[*authInput], tls field[*tlsInput]) (err error) {
	out.TLS = tlsOf(tls)
	out.Auth, err = authOf(auth)
	return err
}

// shapeAuth shows an endpoint's auth without its secret (case 105).
func shapeAuth(a *hook.EndpointAuth) *authShape {
	if a == nil {
		return nil
	}
	out := &authShape{Type: string(a.Type)}
	switch a.Type {
	case hook.AuthBasic:
		out.Username, out.Password = a.Name, hook.Hidden
	case hook.AuthBearer:
		out.Token = hook.Hidden
	case hook.AuthOAuth2:
		out.ClientID, out.ClientSecret, out.TokenURL, out.Scope, out.Audience, out.ClientAuth = a.Name, hook.Hidden, a.TokenURL, a.Scope, a.Audience, inHeader
		if a.InBody {
			out.ClientAuth = inBody
		}
	}
	return out
}

// shapeTLS shows an endpoint's certificates, which are no secrets, and not its key.
func shapeTLS(t *hook.EndpointTLS) *tlsShape {
	if t == nil {
		return nil
	}
	out := &tlsShape{Certificate: t.Certificate, CA: t.CA}
	if t.Key != "" {
		out.Key = hook.Hidden
	}
	if block, _ := pem.Decode([]byte(t.Certificate)); block != nil {
		sum := sha256.Sum256(block.Bytes)
		out.SHA256 = hex.EncodeToString(sum[:])
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			out.Subject, out.NotAfter = c.Subject.String(), stamp(c.NotAfter)
		}
	}
	return out
}

// hidesAuth reports whether an endpoint would go on authenticating itself by what is not
// shown: nothing is said of it, or its secret is to stay.
func (in *endpointInput) hidesAuth(e *hook.Endpoint) bool {
	if e.Auth == nil || in.Auth.given && in.Auth.value == nil {
		return false
	}
	if !in.Auth.given {
		return true
	}
	for _, s := range []*string{in.Auth.value.Password, in.Auth.value.Token, in.Auth.value.ClientSecret} {
		if s != nil && *s != "" && *s != hook.Hidden {
			return false
		}
	}
	return in.Auth.value.Type != noAuth
}

// revealedSecret is a secret that somebody asked for.
type revealedSecret struct {
	Secret    *string `json:"secret" doc:"what requests are signed with; null: a private key, which is not shown" example:"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"`
	PublicKey string  `json:"public_key,omitzero" doc:"whpk_… text to verify with, where the secret is a private key" example:"whpk_Q3d7cAFgdBzK1VyQvZ8i5z2V0VfQ3n8o2b9W0yq8Yyo="`
	CreatedAt stamp   `json:"created_at" doc:"when it was made"`
	ExpiresAt stamp   `json:"expires_at,omitzero" doc:"until when it signs; absent: no end is set"`
}

// revealedSecrets are all that sign now.
type revealedSecrets struct {
	Endpoint string           `json:"endpoint" doc:"the endpoint's id" example:"ep_01JB2X3Y4Z"`
	Secrets  []revealedSecret `json:"secrets" doc:"those that sign now, newest first; empty: requests are not signed"`
}

func (a *API) revealSecret(c *call) error {
	e, err := a.endpoint(c)
	if err != nil {
		return err
	}
	found, err := a.Manager.RevealSecrets(c.r.Context(), c.tenant, e.ID)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, revealedSecrets{e.ID, each(found, func(r manage.Revealed) revealedSecret {
		out := revealedSecret{PublicKey: r.Public, CreatedAt: stamp(r.CreatedAt), ExpiresAt: stamp(r.ExpiresAt)}
		if r.Secret != "" {
			out.Secret = new(string(r.Secret))
		}
		return out
	})})
}
