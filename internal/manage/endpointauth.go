package manage

import (
	"crypto/subtle"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// The bounds of what an endpoint authenticates its requests with, in bytes.
const (
	maxAuthName   = 255
	maxAuthSecret = 4096
	maxAuthScope  = 1024
	maxAudience   = 2048
)

// authorization is the header that an endpoint's auth makes.
const authorization = "Authorization"

// AuthInput is what to make of an endpoint's auth.
type AuthInput struct {
	Type hook.AuthType // "": none
	Name string        // of basic the user, of oauth2 the client's id
	// Secret is the password, the token or the client's secret; "" or hook.Hidden: it
	// stays the one that the endpoint has.
	Secret   hook.Secret
	TokenURL string // of oauth2, as the rest
	Scope    string
	Audience string
	InBody   bool
}

// keeps reports whether the secret is to stay as it is.
func (in *AuthInput) keeps() bool { return len(in.Secret) == 0 || string(in.Secret) == hook.Hidden }

// secretField is what the API calls the secret of a type.
func secretField(t hook.AuthType) string {
	switch t {
	case hook.AuthBasic:
		return "/auth/password"
	case hook.AuthBearer:
		return "/auth/token"
	}
	return "/auth/client_secret"
}

// fillAccess takes over how requests and connections to an endpoint show who makes
// them, and checks that it goes together with the URL, the headers and the contract.
func (m *Manager) fillAccess(e *hook.Endpoint, in EndpointInput, d *dialect.Dialect) error {
	if in.Auth != nil {
		if err := m.fillAuth(e, in.Auth, d); err != nil {
			return err
		}
	}
	if in.TLS != nil {
		if err := m.fillTLS(e, in.TLS, now()); err != nil {
			return err
		}
	}
	secure := len(e.URL) > len("https:") && strings.EqualFold(e.URL[:len("https:")], "https:")
	switch {
	case e.TLS != nil && !secure:
		return hook.Invalid("/tls", "is for an endpoint whose url begins with https://")
	case e.Auth == nil:
		return nil
	case e.Auth.TokenURL != "" && secure && !strings.EqualFold(e.Auth.TokenURL[:min(len(e.Auth.TokenURL), len("https:"))], "https:"):
		return hook.Invalid("/auth/token_url", "must begin with https://, as the endpoint's own url does: the client's secret goes there")
	}
	for _, h := range e.Headers {
		if strings.EqualFold(h.Name, authorization) {
			return hook.Invalid("/headers/"+pointerToken(h.Name), "and auth would both be the Authorization header: leave one of them out")
		}
	}
	return nil
}

func (m *Manager) fillAuth(e *hook.Endpoint, in *AuthInput, d *dialect.Dialect) error {
	if in.Type == "" {
		e.Auth = nil
		return nil
	}
	if d.Sends(authorization) || d.SignsHeader(authorization) {
		return &hook.Error{Code: CodeUnsuitable, Field: "/auth", Message: "the dialect " + d.Name() + " says itself what the Authorization header is: leave auth out"}
	}
	if err := m.checkAuth(in); err != nil {
		return err
	}
	auth := &hook.EndpointAuth{Type: in.Type, Name: in.Name, TokenURL: in.TokenURL, Scope: in.Scope, Audience: in.Audience, InBody: in.InBody}
	was := e.Auth
	switch {
	case !in.keeps():
		has, err := m.Ring.OpenAuth(e)
		if err == nil && was != nil && subtle.ConstantTimeCompare([]byte(has), []byte(in.Secret)) == 1 {
			auth.Sealed = was.Sealed // put again, so that nothing changes
		} else if auth.Sealed, err = m.Ring.SealAuth(in.Secret, e); err != nil {
			return err
		}
	case was == nil || was.Type != in.Type:
		return hook.Invalid(secretField(in.Type), "is missing, and there is none that could stay: give it")
	case was.TokenURL != in.TokenURL:
		return hook.Invalid(secretField(in.Type), "has to be given anew with another token_url, for it is sent there")
	default:
		auth.Sealed = was.Sealed
	}
	e.Auth = auth
	return nil
}

// checkAuth refuses what could not be sent as it is.
func (m *Manager) checkAuth(in *AuthInput) error {
	secret, at := string(in.Secret), secretField(in.Type)
	if len(secret) > maxAuthSecret {
		return hook.Invalid(at, "has %d bytes, at most %d are allowed", len(secret), maxAuthSecret)
	}
	switch in.Type {
	case hook.AuthBasic:
		if err := checkAuthText("/auth/username", in.Name, maxAuthName, true); err != nil {
			return err
		}
		if strings.Contains(in.Name, ":") {
			return hook.Invalid("/auth/username", "holds a colon, which ends a user name in the header")
		}
		return checkAuthText(at, secret, maxAuthSecret, true)
	case hook.AuthBearer:
		if strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r >= 0x7f }) && !in.keeps() {
			return hook.Invalid(at, "holds a space, a control character or one that is not ASCII: give the token alone, without Bearer before it")
		}
		return nil
	case hook.AuthOAuth2:
		return m.checkClient(in)
	}
	return hook.Invalid("/auth/type", "%q is no way to authenticate: want basic, bearer or oauth2", hook.Clip(string(in.Type)))
}

// checkClient checks the client credentials of oauth2.
func (m *Manager) checkClient(in *AuthInput) error {
	if in.TokenURL == "" {
		return hook.Invalid("/auth/token_url", "is missing")
	}
	if err := m.CheckURL(in.TokenURL); err != nil {
		return atField("/auth/token_url", err)
	}
	if in.Name == "" {
		return hook.Invalid("/auth/client_id", "is missing")
	}
	for _, f := range []struct {
		at, text string
		most     int
	}{{"/auth/client_id", in.Name, maxAuthName}, {"/auth/client_secret", string(in.Secret), maxAuthSecret}, {"/auth/scope", in.Scope, maxAuthScope}, {"/auth/audience", in.Audience, maxAudience}} {
		if err := checkAuthText(f.at, f.text, f.most, false); err != nil {
			return err
		}
	}
	return nil
}

// checkAuthText checks one part of credentials. It never quotes it.
func checkAuthText(at, text string, most int, wide bool) error {
	switch {
	case len(text) > most:
		return hook.Invalid(at, "has %d bytes, at most %d are allowed", len(text), most)
	case !utf8.ValidString(text), !httpguts.ValidHeaderFieldValue(text), strings.ContainsRune(text, '\t'):
		return hook.Invalid(at, "holds a control character, or is no UTF-8")
	case !wide && strings.ContainsFunc(text, func(r rune) bool { return r >= 0x7f }):
		return hook.Invalid(at, "holds a character that is not ASCII")
	}
	return nil
}

// atField puts a check of a URL at the field where the URL was.
func atField(at string, err error) error {
	if e, ok := err.(*hook.Error); ok {
		moved := *e
		moved.Field = at
		return &moved
	}
	return err
}

// authType tells of an endpoint's auth which kind it is and no more.
func authType(v any) any {
	if a, ok := v.(*hook.EndpointAuth); ok && a != nil {
		return a.Type
	}
	return nil
}

// sameAs compares what may not be there.
func sameAs[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
