package keyring

import "grapnel/internal/hook"

// The names of what an endpoint authenticates itself with. No endpoint's id holds a
// slash, so that they are nothing else's.
func authRecord(endpoint string) string { return "auth/" + endpoint }

func tlsRecord(endpoint string) string { return "tls/" + endpoint }

// SealAuth seals the password, token or client secret of an endpoint's requests.
func (r *Ring) SealAuth(s hook.Secret, e *hook.Endpoint) (hook.Sealed, error) {
	return r.Seal(s, e.Tenant, authRecord(e.ID))
}

// OpenAuth opens what SealAuth sealed; "" where the endpoint has none.
func (r *Ring) OpenAuth(e *hook.Endpoint) (hook.Secret, error) {
	if e.Auth == nil || e.Auth.Sealed == "" {
		return "", nil
	}
	return r.Open(e.Auth.Sealed, e.Tenant, authRecord(e.ID))
}

// SealTLSKey seals the private key of an endpoint's certificate.
func (r *Ring) SealTLSKey(s hook.Secret, e *hook.Endpoint) (hook.Sealed, error) {
	return r.Seal(s, e.Tenant, tlsRecord(e.ID))
}

// OpenTLSKey opens what SealTLSKey sealed; "" where the endpoint has none.
func (r *Ring) OpenTLSKey(e *hook.Endpoint) (hook.Secret, error) {
	if e.TLS == nil || e.TLS.Key == "" {
		return "", nil
	}
	return r.Open(e.TLS.Key, e.Tenant, tlsRecord(e.ID))
}

// SealedOf lists what is sealed of an endpoint besides its signing secrets and its
// headers.
func SealedOf(e *hook.Endpoint) (all []hook.Sealed) {
	if e.Auth != nil && e.Auth.Sealed != "" {
		all = append(all, e.Auth.Sealed)
	}
	if e.TLS != nil && e.TLS.Key != "" {
		all = append(all, e.TLS.Key)
	}
	return all
}

// ResealAuth is Reseal for what SealedOf lists. It changes copies, and says how many
// were sealed anew.
func (r *Ring) ResealAuth(e *hook.Endpoint) (auth *hook.EndpointAuth, tls *hook.EndpointTLS, n int, err error) {
	auth, tls = e.Auth, e.TLS
	if auth != nil && auth.Sealed != "" && !r.SealedFirst(auth.Sealed) {
		changed := *auth
		if changed.Sealed, err = r.Reseal(auth.Sealed, e.Tenant, authRecord(e.ID)); err != nil {
			return e.Auth, e.TLS, 0, err
		}
		auth = &changed
		n++
	}
	if tls != nil && tls.Key != "" && !r.SealedFirst(tls.Key) {
		changed := *tls
		if changed.Key, err = r.Reseal(tls.Key, e.Tenant, tlsRecord(e.ID)); err != nil {
			return e.Auth, e.TLS, 0, err
		}
		tls = &changed
		n++
	}
	return auth, tls, n, nil
}
