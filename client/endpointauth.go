package client

import (
	"context"
	"net/http"
	"time"
)

// The types of an endpoint's auth.
const (
	AuthBasic  = "basic"  // Username and Password
	AuthBearer = "bearer" // Token
	AuthOAuth2 = "oauth2" // a token got by client credentials: TokenURL, ClientID, ClientSecret
)

// The ways in which a client's id and secret are sent to a token endpoint.
const (
	ClientAuthBasic = "basic" // in the Authorization header
	ClientAuthBody  = "body"
)

// EndpointAuth is how an endpoint's requests authenticate themselves, beside their
// signature. Secrets are shown as "[secret]"; sent so, or empty, they stay as they are.
type EndpointAuth struct {
	Type         string `json:"type"`
	Username     string `json:"username,omitempty"`
	Password     string `json:"password,omitempty"`
	Token        string `json:"token,omitempty"`
	TokenURL     string `json:"token_url,omitempty"`
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	Scope        string `json:"scope,omitempty"`
	Audience     string `json:"audience,omitempty"`
	ClientAuth   string `json:"client_auth,omitempty"` // ClientAuthBasic, if it is empty
}

// EndpointTLS is what connections to an endpoint are made with. Texts are PEM.
type EndpointTLS struct {
	Certificate string     `json:"certificate,omitempty"` // shown to the endpoint, with its intermediates; "": none is
	Key         string     `json:"key,omitempty"`         // "[secret]", where there is a certificate
	CA          string     `json:"ca,omitempty"`          // the only authorities trusted; "": those of the server's system
	Subject     string     `json:"subject,omitempty"`     // of the certificate, as the rest
	NotAfter    *time.Time `json:"not_after,omitempty"`
	SHA256      string     `json:"sha256,omitempty"` // its fingerprint, in hex
}

// TLSInput is what to make of an endpoint's TLS. A field that is not set stays as it is.
type TLSInput struct {
	Certificate Field[string] `json:"certificate,omitzero"`
	Key         Field[string] `json:"key,omitzero"` // of Certificate, without a passphrase
	CA          Field[string] `json:"ca,omitzero"`
}

// RevealedSecret is a secret that signs.
type RevealedSecret struct {
	Secret    *string    `json:"secret"`               // nil: a private key, which is not shown
	PublicKey string     `json:"public_key,omitempty"` // to verify with, where the secret is a private key
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // nil: no end is set
}

// RevealedSecrets are the secrets of an endpoint that sign, newest first.
type RevealedSecrets struct {
	Endpoint string           `json:"endpoint"`
	Secrets  []RevealedSecret `json:"secrets"`

	Meta Meta `json:"-"`
}

func (r *RevealedSecrets) noteMeta(h http.Header) { r.Meta.noteMeta(h) }

// RevealSecret shows what an endpoint's requests are signed with. The server's audit log
// notes each call.
func (c *Client) RevealSecret(ctx context.Context, tenant, id string, options ...Option) (*RevealedSecrets, error) {
	out := new(RevealedSecrets)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "endpoints", id, "secret", "reveal"), options, nil, out)
}
