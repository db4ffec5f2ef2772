package dispatch

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/egress/oauth2"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
)

// authorization is the header that an endpoint's auth makes.
const authorization = "Authorization"

// openAuth makes the Authorization header of an endpoint, or what a token for it is
// got with.
func (s *keyset) openAuth(ring *keyring.Ring, e *hook.Endpoint) error {
	if e.Auth == nil {
		return nil
	}
	secret, err := ring.OpenAuth(e)
	if err != nil {
		return errors.New("what the endpoint's requests authenticate themselves with cannot be opened: " + err.Error())
	}
	value := ""
	switch e.Auth.Type {
	case hook.AuthBasic:
		value = "Basic " + base64.StdEncoding.EncodeToString([]byte(e.Auth.Name+":"+string(secret)))
	case hook.AuthBearer:
		value = "Bearer " + string(secret)
	case hook.AuthOAuth2:
		s.client = &oauth2.Client{TokenURL: e.Auth.TokenURL, ID: e.Auth.Name, Secret: secret, Scope: e.Auth.Scope, Audience: e.Auth.Audience, InBody: e.Auth.InBody}
		return nil
	default: // of a later version of the program
		return errors.New("this server does not know the kind of the endpoint's auth: \"" + string(e.Auth.Type) + "\"")
	}
	s.headers = append(slices.Clip(s.headers), hook.Header{Name: authorization, Value: value})
	return nil
}

// identityOf is what connections to an endpoint are made with; nil: what all are. It
// opens the key when a connection is to be made, not before.
func identityOf(ring *keyring.Ring, e *hook.Endpoint) *egress.Identity {
	if e.TLS == nil {
		return nil
	}
	h := sha256.New()
	for _, part := range []string{e.Tenant, e.ID, e.TLS.Certificate, string(e.TLS.Key), e.TLS.CA} {
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return &egress.Identity{ID: [32]byte(h.Sum(nil)), Load: func() (*egress.Certificates, error) {
		key, err := ring.OpenTLSKey(e)
		if err != nil {
			return nil, errors.New("the key of the endpoint's certificate cannot be opened")
		}
		return &egress.Certificates{Chain: e.TLS.Certificate, Key: key, CA: e.TLS.CA}, nil
	}}
}

// authorize gives the headers that an endpoint wants besides, with a token where one is
// needed. failed is the outcome of an attempt that comes to nothing without it.
func (d *Dispatcher) authorize(ctx context.Context, dl *delivery, s *keyset, timeout time.Duration) (extra []hook.Header, token hook.Secret, failed *egress.Result) {
	if s.client == nil {
		return s.headers, "", nil
	}
	begin := time.Now()
	if !d.maySend(dl.lane) {
		return nil, "", &egress.Result{Class: egress.ClassCanceled}
	}
	d.waits(dl, true)
	token, err := d.tokens.Get(ctx, dl.lane.num, s.client, timeout)
	if err == nil && time.Since(begin) >= timeout {
		err = errors.New("the token endpoint took all the time that an attempt may take")
	}
	switch {
	case errors.Is(err, context.Canceled):
		return nil, "", &egress.Result{Class: egress.ClassCanceled}
	case err != nil:
		return nil, "", &egress.Result{At: begin, Class: egress.ClassAuth, Detail: err.Error(), Timing: hook.Timing{Total: time.Since(begin)}}
	}
	return append(slices.Clip(s.headers), hook.Header{Name: authorization, Value: "Bearer " + string(token)}), token, nil
}
