package verify_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
	"grapnel/internal/dialect/dialecttest"
	"grapnel/internal/hook"
	"grapnel/verify"
)

// storeKey is a secret of the contracts whose secrets are any text.
const storeKey = "ed58a22dfecb405a50ea3ea56979360d"

func secretOf(name string) string {
	if name == verify.Standard {
		return secret
	}
	return storeKey
}

// contracts are the built-in ones and those that are files alone, with what
// makes a verifier of each.
func contracts(t *testing.T) map[*dialect.Dialect]func(secrets ...string) (*verify.Verifier, error) {
	t.Helper()
	registry, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	out := map[*dialect.Dialect]func(secrets ...string) (*verify.Verifier, error){}
	for _, name := range verify.Contracts() {
		d, _ := registry.Get(name)
		out[d] = func(secrets ...string) (*verify.Verifier, error) { return verify.For(name, secrets...) }
	}
	files, err := filepath.Glob(filepath.Join("..", "internal", "dialect", "dialecttest", "interop", "testdata", "*.yaml"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files of contracts (%v)", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := dialect.Load(file, text)
		if err != nil {
			t.Fatal(err)
		}
		out[d] = func(secrets ...string) (*verify.Verifier, error) { return verify.Load(file, text, secrets...) }
	}
	return out
}

// What any contract signs verifies, with names in any case, and does not after
// a bit of the body, a signed header, the URL or the secret has changed.
func TestAnyContract(t *testing.T) {
	t.Parallel()
	for d, make := range contracts(t) {
		s := secretOf(d.Name())
		other := s[:len(s)-2] + "4="
		if e := d.SecretEncoding(); e != "" {
			s, other = string(e.Append(nil, []byte(s))), string(e.Append(nil, []byte(other)))
		}
		v, err := make(s)
		if err != nil {
			t.Fatal(err)
		}
		wrong, err := make(other)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range dialecttest.Corpus(11, 40) {
			if i >= 12 && i < 15 {
				continue // 1 MB each, verified elsewhere
			}
			e.Data = []byte(`{"account":{"id":"a","url":"https://a.example"},"of":` + string(e.Data) + `}`)
			e.Type = "product.update"
			sent := dialecttest.Send(t, d, e, now, 1+i%3, hook.Secret(s))
			r := verify.Request{Method: sent.Method, URL: sent.URL, Header: sent.HTTPHeader(), Body: sent.Body}
			for _, h := range sent.Header { // the case that is sent, and that of HTTP/2
				r.Header.Del(h.Name)
				r.Header[[]string{h.Name, strings.ToLower(h.Name)}[i%2]] = []string{h.Value}
			}
			if err := v.VerifyRequest(r, now); err != nil {
				t.Errorf("%s, event %d: %v", d.Name(), i, err)
			}
			if err := wrong.VerifyRequest(r, now); !errors.Is(err, verify.NoMatch) {
				t.Errorf("%s, event %d, another secret: %v", d.Name(), i, err)
			}
			changed := r
			changed.Body = bytes.Clone(r.Body)
			changed.Body[i%len(r.Body)] ^= 1
			if err := v.VerifyRequest(changed, now); err == nil {
				t.Errorf("%s, event %d: verifies after byte %d changed", d.Name(), i, i%len(r.Body))
			}
			for name, values := range r.Header {
				if lower := strings.ToLower(name); !strings.HasSuffix(lower, "signature") && (d.Name() != "api2cart" || !strings.HasPrefix(lower, "x-webhook-")) {
					continue
				}
				changed := r
				changed.Header = r.Header.Clone()
				changed.Header[name] = []string{values[0] + "x"}
				if err := v.VerifyRequest(changed, now); err == nil {
					t.Errorf("%s, event %d: verifies after %s changed", d.Name(), i, name)
				}
			}
		}
	}
}

func TestContractsAreNamed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"api2cart", "customers1st", "propstack", "sixpark", "smake", "standard"} {
		if !slices.Contains(verify.Contracts(), name) {
			t.Errorf("%s is not among %v", name, verify.Contracts())
		}
	}
	if _, err := verify.For("propstock", "s"); err == nil || !strings.Contains(err.Error(), "propstack") {
		t.Errorf("a name that there is not: %v", err)
	}
	if _, err := verify.For("propstack"); err == nil || !strings.Contains(err.Error(), "one secret or more") {
		t.Errorf("no secret: %v", err)
	}
	if _, err := verify.Load("mine.yaml", []byte("name: mine\ntitel: x\n"), "s"); err == nil || !strings.Contains(err.Error(), "mine.yaml:2: ") {
		t.Errorf("a file that is wrong: %v", err)
	}
}

// A contract that signs the URL says so where the URL was not given.
func TestURLIsNeededWhereItIsSigned(t *testing.T) {
	t.Parallel()
	for d, make := range contracts(t) {
		if !strings.HasPrefix(d.Name(), "twilio-shaped") && d.Name() != "square-shaped" {
			continue
		}
		v, err := make(storeKey)
		if err != nil {
			t.Fatal(err)
		}
		sent := dialecttest.Send(t, d, dialecttest.Event(1, "a.b", "1"), now, 1, storeKey)
		if err := v.Verify(sent.HTTPHeader(), sent.Body, now); !errors.Is(err, verify.Unverifiable) || !strings.Contains(err.Error(), "URL") {
			t.Errorf("%s without the URL: %v", d.Name(), err)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	v, err := verify.For("customers1st", storeKey)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"X-C1st-Webhook-Signature": {"bm90IG9uZQ=="}}
	if got := v.Explain(verify.Request{Header: h, Body: []byte("{}")}, time.Now()); got == "" || strings.Contains(got, storeKey) {
		t.Errorf("it explains: %s", got)
	}
	d, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	c1st, _ := d.Get("customers1st")
	sent := dialecttest.Send(t, c1st, dialecttest.Event(1, "product.created", `{"url":"a/b"}`), now, 1, storeKey)
	body := bytes.ReplaceAll(sent.Body, []byte("/"), []byte(`\/`)) // as PHP writes it anew
	got := v.Explain(verify.Request{Header: sent.HTTPHeader(), Body: body}, now)
	if !strings.Contains(got, "escapes") && !strings.Contains(got, "written anew") {
		t.Errorf("of a body that was written anew it says: %s", got)
	}
}
