package manage_test

import (
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/hostile"
	"grapnel/internal/manage"
)

var bearer = manage.AuthInput{Type: hook.AuthBearer, Secret: "canary-token"}

func TestAuthIsChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	oauth := func(change func(*manage.AuthInput)) manage.AuthInput {
		a := manage.AuthInput{Type: hook.AuthOAuth2, Name: "id", Secret: "s", TokenURL: "https://login.example/token"}
		change(&a)
		return a
	}
	for what, c := range map[string]struct {
		in    manage.AuthInput
		field string
	}{
		"no such type":         {manage.AuthInput{Type: "digest", Secret: "s"}, "/auth/type"},
		"nothing to keep":      {manage.AuthInput{Type: hook.AuthBearer, Secret: hook.Hidden}, "/auth/token"},
		"no secret":            {manage.AuthInput{Type: hook.AuthBasic, Name: "u"}, "/auth/password"},
		"a colon":              {manage.AuthInput{Type: hook.AuthBasic, Name: "a:b", Secret: "s"}, "/auth/username"},
		"a line break":         {manage.AuthInput{Type: hook.AuthBasic, Name: "a", Secret: "s\r\nX: 1"}, "/auth/password"},
		"a token with a space": {manage.AuthInput{Type: hook.AuthBearer, Secret: "Bearer x"}, "/auth/token"},
		"too long":             {manage.AuthInput{Type: hook.AuthBearer, Secret: hook.Secret(strings.Repeat("x", 4097))}, "/auth/token"},
		"no token url":         {oauth(func(a *manage.AuthInput) { a.TokenURL = "" }), "/auth/token_url"},
		"a bad token url":      {oauth(func(a *manage.AuthInput) { a.TokenURL = "http://login.example/" }), "/auth/token_url"},
		"no client":            {oauth(func(a *manage.AuthInput) { a.Name = "" }), "/auth/client_id"},
		"a scope of two lines": {oauth(func(a *manage.AuthInput) { a.Scope = "a\nb" }), "/auth/scope"},
	} {
		_, _, err := b.CreateEndpoint(t.Context(), "acme", manage.EndpointInput{URL: new("https://example.com/"), Auth: &c.in})
		refused(t, what, err, hook.CodeInvalid, c.field)
		if err != nil && strings.Contains(err.Error(), "X: 1") {
			t.Errorf("%s is quoted: %v", what, err)
		}
	}
	_, _, err := b.CreateEndpoint(t.Context(), "acme", manage.EndpointInput{URL: new("https://example.com/"), Auth: &bearer, Headers: &[]hook.Header{{Name: "authorization", Value: "x"}}})
	refused(t, "two of them", err, hook.CodeInvalid, "/headers/authorization")
}

func TestAuthIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	oauth := manage.AuthInput{Type: hook.AuthOAuth2, Name: "id", Secret: "s", TokenURL: "https://login.example/token"}
	e, _ := b.endpointOf(t, "acme", manage.EndpointInput{Auth: &oauth})
	sealed := e.Auth.Sealed
	for what, secret := range map[string]hook.Secret{"as it was shown": hook.Hidden, "absent": "", "the same again": "s"} {
		again := oauth
		again.Secret, again.Scope = secret, what
		e, err := b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{Auth: &again})
		if err != nil || e.Auth.Sealed != sealed || e.Auth.Scope != what {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
	}
	elsewhere := oauth
	elsewhere.Secret, elsewhere.TokenURL = hook.Hidden, "https://evil.example/token"
	_, err := b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{Auth: &elsewhere})
	refused(t, "a secret that would go elsewhere", err, hook.CodeInvalid, "/auth/client_secret")
	_, err = b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{Auth: &manage.AuthInput{Type: hook.AuthBearer}})
	refused(t, "another type without a secret", err, hook.CodeInvalid, "/auth/token")
	if e, err = b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{Description: new("d")}); err != nil || e.Auth == nil {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err = b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{Auth: &manage.AuthInput{}}); err != nil || e.Auth != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

// case 104: what is sealed for one endpoint does not open for another.
func TestAuthIsBoundToItsEndpoint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	one, _ := b.endpointOf(t, "acme", manage.EndpointInput{Auth: &bearer})
	other, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
	moved := *other
	moved.Auth = one.Auth
	if s, err := b.ring.OpenAuth(&moved); err == nil {
		t.Errorf("it opened as %q", string(s))
	}
	if s, err := b.ring.OpenAuth(one); err != nil || s != bearer.Secret {
		t.Errorf("%v", err)
	}
	for _, a := range b.store.audit {
		for _, c := range a.Changes {
			if strings.Contains(string(c.After), "canary") || strings.Contains(string(c.After), string(one.Auth.Sealed)) {
				t.Errorf("the audit log has %s", c.After)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.DeleteEndpoint(t.Context(), "acme", one.ID, manage.Terms[hook.Endpoint]{}))
	if gone, ok := b.dir.Endpoint(one.Num); !ok || gone.Auth != nil || gone.TLS != nil {
		t.Errorf("a deleted endpoint keeps %+v", gone)
	}
}

type papers struct{ certificate, key, ca string }

func newPapers(t *testing.T, until time.Time) papers {
	t.Helper()
	a, err := hostile.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := a.Client("acme", until)
	if err != nil {
		t.Fatal(err)
	}
	return papers{string(certificate), string(key), string(a.PEM())}
}

func TestTLSIsChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	good, other, old := newPapers(t, time.Now().Add(time.Hour)), newPapers(t, time.Now().Add(time.Hour)), newPapers(t, time.Now().Add(-time.Hour))
	for what, c := range map[string]struct {
		in    manage.TLSInput
		field string
	}{
		"no PEM":                    {manage.TLSInput{Certificate: new("x"), Key: hook.Secret(good.key)}, "/tls/certificate"},
		"a key among certificates":  {manage.TLSInput{Certificate: new(good.certificate + good.key), Key: hook.Secret(good.key)}, "/tls/certificate"},
		"no key":                    {manage.TLSInput{Certificate: &good.certificate}, "/tls/key"},
		"a key that is none":        {manage.TLSInput{Certificate: &good.certificate, Key: "canary"}, "/tls/key"},
		"a certificate as key":      {manage.TLSInput{Certificate: &good.certificate, Key: hook.Secret(good.ca)}, "/tls/key"},
		"the key of another":        {manage.TLSInput{Certificate: &good.certificate, Key: hook.Secret(other.key)}, "/tls/key"},
		"an encrypted key":          {manage.TLSInput{Certificate: &good.certificate, Key: "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"}, "/tls/key"},
		"a key alone":               {manage.TLSInput{Key: hook.Secret(good.key)}, "/tls/certificate"},
		"an expired certificate":    {manage.TLSInput{Certificate: &old.certificate, Key: hook.Secret(old.key)}, "/tls/certificate"},
		"too many certificates":     {manage.TLSInput{Certificate: new(strings.Repeat(good.certificate, 9)), Key: hook.Secret(good.key)}, "/tls/certificate"},
		"authorities that are none": {manage.TLSInput{CA: new("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}, "/tls/ca"},
		"too long a text":           {manage.TLSInput{CA: new(strings.Repeat("x", 33<<10))}, "/tls/ca"},
		"too many authorities":      {manage.TLSInput{CA: new(strings.Repeat(good.ca, 17))}, "/tls/ca"},
	} {
		_, _, err := b.CreateEndpoint(t.Context(), "acme", manage.EndpointInput{URL: new("https://example.com/"), TLS: &c.in})
		refused(t, what, err, hook.CodeInvalid, c.field)
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTLSIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	p, next := newPapers(t, time.Now().Add(time.Hour)), newPapers(t, time.Now().Add(time.Hour))
	e, _ := b.endpointOf(t, "acme", manage.EndpointInput{TLS: &manage.TLSInput{Certificate: new("made by hand\n" + p.certificate), Key: hook.Secret(p.key)}})
	if e.TLS.Certificate != p.certificate {
		t.Errorf("kept as %s", e.TLS.Certificate)
	}
	update := func(in manage.TLSInput) *hook.Endpoint {
		t.Helper()
		changed, err := b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{TLS: &in})
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	if got := update(manage.TLSInput{CA: &p.ca}); got.TLS.Certificate != p.certificate || got.TLS.Key != e.TLS.Key || got.TLS.CA != p.ca {
		t.Errorf("%+v", got.TLS)
	}
	if got := update(manage.TLSInput{Certificate: &p.certificate, Key: hook.Hidden, CA: &p.ca}); got.TLS.Key != e.TLS.Key {
		t.Error("sent back as it was shown, the key changed")
	}
	if got := update(manage.TLSInput{Certificate: &p.certificate, Key: hook.Secret(p.key)}); got.TLS.Key != e.TLS.Key {
		t.Error("the same key was sealed again")
	}
	got := update(manage.TLSInput{Certificate: &next.certificate, Key: hook.Secret(next.key)})
	if key, err := b.ring.OpenTLSKey(got); err != nil || string(key) != next.key {
		t.Errorf("%v", err)
	}
	if got := update(manage.TLSInput{Certificate: new("")}); got.TLS.Certificate != "" || got.TLS.Key != "" || got.TLS.CA == "" {
		t.Errorf("%+v", got.TLS)
	}
	if got := update(manage.TLSInput{CA: new("")}); got.TLS != nil {
		t.Errorf("%+v", got.TLS)
	}
}

// A secret that is shown is noted; a private key is not shown.
func TestRevealSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	acme := b.tenant(t, "acme")
	e, secret := b.endpointOf(t, "acme", manage.EndpointInput{})
	_, next, err := b.RotateSecret(t.Context(), "acme", e.ID, manage.Rotation{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.RevealSecrets(t.Context(), acme, e.ID)
	if err != nil || len(got) != 2 || got[0].Secret != next || got[1].Secret != secret || got[1].ExpiresAt.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if last := b.store.audit[len(b.store.audit)-1]; last.Action != "endpoint.reveal_secret" || last.Object != e.ID || last.Tenant != "acme" {
		t.Errorf("%+v", last)
	}
	private, _ := b.endpointOf(t, "acme", manage.EndpointInput{Secret: new(hook.Secret("whsk_" + strings.Repeat("A", 43) + "="))})
	if got, err = b.RevealSecrets(t.Context(), acme, private.ID); err != nil || len(got) != 1 || got[0].Secret != "" || !strings.HasPrefix(got[0].Public, "whpk_") {
		t.Errorf("%+v, %v", got, err)
	}
	before := len(b.store.audit)
	b.store.fail = hook.Errorf(hook.CodeUnavailable, "no")
	if got, err = b.RevealSecrets(t.Context(), acme, e.ID); err == nil || got != nil {
		t.Error("it was shown and not noted")
	}
	if _, err := b.RevealSecrets(t.Context(), acme, "ep_none"); hook.CodeOf(err) != hook.CodeNotFound || len(b.store.audit) != before {
		t.Errorf("%v", err)
	}
}

// A contract that says itself what the Authorization header is leaves no room for auth,
// and has nothing against certificates.
func TestAuthOfAContractThatHasItsOwn(t *testing.T) {
	t.Parallel()
	d, err := dialect.Load("test.yaml", []byte(strings.Replace(own, "X-Own: a", "X-Own: a, Authorization: b", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if !d.Sends("Authorization") {
		t.Fatal("the contract sends none: this shows nothing")
	}
	r, err := dialect.NewRegistry(d)
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, func(c *manage.Config) { c.Dialects, c.DefaultDialect = r, d.Name() })
	b.tenant(t, "acme")
	_, _, err = b.CreateEndpoint(t.Context(), "acme", manage.EndpointInput{URL: new("https://example.com/"), Auth: &bearer})
	refused(t, "auth", err, manage.CodeUnsuitable, "/auth")
	p := newPapers(t, time.Now().Add(time.Hour))
	if _, _, err = b.CreateEndpoint(t.Context(), "acme", manage.EndpointInput{URL: new("https://example.com/"), TLS: &manage.TLSInput{CA: &p.ca}}); err != nil {
		t.Error(err)
	}
}
