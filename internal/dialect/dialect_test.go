package dialect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
	"grapnel/internal/hook"
)

func load(t testing.TB, src string) *dialect.Dialect {
	t.Helper()
	d, err := dialect.Load("test.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func event() *hook.Event {
	return &hook.Event{
		ID: hook.EventIDFrom(7_000_000_000_000, 9), Type: "thing_deleted", Data: []byte(`{"a": 1}`),
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func input() dialect.Input {
	return dialect.Input{
		Event: event(), Endpoint: &hook.Endpoint{ID: "ep_1", Num: 12}, Tenant: &hook.Tenant{ID: "acme", Num: 3},
		PublicURL: `https://x.example/"q"`,
	}
}

// exercise uses a dialect in every way: nothing panics, the body is JSON where
// the event has what it needs.
func exercise(t testing.TB, d *dialect.Dialect) {
	body, err := d.Body(input())
	if err == nil && len(body) > 0 && !jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true)) {
		t.Fatalf("the body is no JSON: %s", body)
	}
	r := dialect.Request{Event: event(), URL: "https://r.example/", Method: d.Method(), Body: body, At: time.Unix(1700000000, 0), N: 1}
	if d.SecretOwner() != dialect.SecretNone {
		secret, err := d.NewSecret()
		if err != nil {
			t.Fatal(err)
		}
		key, err := d.Key(secret)
		if err != nil {
			t.Fatal(err)
		}
		r.Keys = []dialect.Key{key, key}
	}
	if _, err := d.Header(r); err != nil {
		t.Fatal(err)
	}
	for status := -1; status < 700; status++ {
		d.Judge(dialect.Answer{Status: status})
	}
	s := d.Schedule(nil)
	for made := range len(s.Waits()) + 2 {
		s.Next(made, time.Unix(0, 0), time.Unix(1, 0), time.Hour, 0.5)
	}
	if s.Span() < 0 {
		t.Fatalf("span %s", s.Span())
	}
}

func TestBodyTemplate(t *testing.T) {
	t.Parallel()
	from, to := strings.Index(base, "    json:"), strings.Index(base, "events:")
	for _, c := range []struct{ template, want string }{
		{`{event: "{event.type}", n: 1.50, on: true, no: null, list: [], object: {}, content: "{event.data}"}`,
			`{"event":"thing_updated","n":1.50,"on":true,"no":null,"list":[],"object":{},"content":{"a": 1}}`},
		{`"{event.data}"`, `{"a": 1}`},
		{`["{event.id}", "{event.unix}", "{endpoint.number}", "{tenant.number}", "{tenant.id}", "#{endpoint.number}"]`,
			`["000065dd-0837-7000-8000-000000000009",1767323045,12,3,"acme","#12"]`},
		{`{links: {self: "{public_url}/hooks/{endpoint.id}"}, "ü\"": "{{\"\\{{"}`,
			`{"links":{"self":"https://x.example/\"q\"/hooks/ep_1"},"ü\"":"{\"\\{"}`},
	} {
		d := load(t, base[:from]+"    json: "+c.template+"\n"+base[to:])
		got, err := d.Body(input())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.template, diff)
		}
		exercise(t, d)
	}
}

func TestHeaderOfAcme(t *testing.T) {
	t.Parallel()
	d := load(t, base)
	if d.Name() != "acme" || d.Title() != "Acme" || d.Method() != "PUT" || !d.HTTP1() || d.Timeout() != 10*time.Second ||
		d.OnInactive() != dialect.Cancel || d.SecretOwner() != dialect.SecretEndpointOptional || d.Subscription() != dialect.OneType {
		t.Error("a plain setting is wrong")
	}
	var keys []dialect.Key
	for _, s := range []hook.Secret{"ключ", " second "} {
		k, err := d.Key(s)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	r := dialect.Request{Event: event(), Body: []byte("body"), At: time.Unix(1700000000, 0), Keys: keys}
	want := []hook.Header{
		{Name: "Content-Type", Value: "application/json"},
		{Name: "User-Agent", Value: "Grapnel"},
		{Name: "X-Acme-Id", Value: event().ID.String()},
		{Name: "X-Acme-Time", Value: "1700000000"},
		// python3 -c 'import hmac; print(hmac.new("ключ".encode(), b"1700000000.body", "sha256").hexdigest())'
		{Name: "X-Acme-Signature", Value: "t=1700000000,v1=49c95e63c8275b32c72f47cceaa9a2a7bfdba28e73ebf5393420fccb8d209e11,v1=0a98cc62b3f06414de448db80fec0ceda8545dd2cf82ed3e08022b728cbedd0f"},
	}
	got, err := d.Header(r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	r.Keys = nil // unsigned: no signature header at all
	got, err = d.Header(r)
	if diff := cmp.Diff(want[:4], got); diff != "" || err != nil {
		t.Errorf("unsigned: %v, -want +got:\n%s", err, diff)
	}
}

// Without join only the newest key signs.
func TestOneSignature(t *testing.T) {
	t.Parallel()
	src := strings.Replace(base, `    join: ","`+"\n", "", 1)
	src = strings.Replace(src, `    value: "t={attempt.unix},{signatures}"`+"\n", "", 1)
	src = strings.NewReplacer("{header.X-Acme-Time}.", "{request.method} {request.url}:", "hmac-sha256", "hmac-sha1", "v1=", "sha1=").Replace(src)
	d := load(t, src)
	k1, err1 := d.Key("one")
	k2, err2 := d.Key("two")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	got, err := d.Header(dialect.Request{Event: event(), Method: "PUT", URL: "https://r.example/a?b", Body: []byte("body"), Keys: []dialect.Key{k1, k2}})
	if err != nil {
		t.Fatal(err)
	}
	const want = "sha1=010301e466960343b72c811c5f0e095659329add"
	if got[4].Value != want {
		t.Errorf("got %s, want %s", got[4].Value, want)
	}
}

func TestKeyOfAnotherDialect(t *testing.T) {
	t.Parallel()
	a, b := load(t, base), load(t, base)
	k, err := a.Key("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Header(dialect.Request{Event: event(), Keys: []dialect.Key{k}}); err == nil {
		t.Error("a key of another dialect signs")
	}
	if _, err := a.Key("\xff"); hook.CodeOf(err) != hook.CodeInvalid {
		t.Errorf("a secret that is not UTF-8: %v", err)
	}
}

func TestSubscription(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule  dialect.Subscription
		types []string
		ok    bool
	}{
		{dialect.AnyTypes, nil, true}, {dialect.AnyTypes, []string{"a", "b.*"}, true},
		{dialect.OneType, nil, false}, {dialect.OneType, []string{"a"}, true}, {dialect.OneType, []string{"a", "b"}, false}, {dialect.OneType, []string{"a.*"}, false},
		{dialect.AllTypes, nil, true}, {dialect.AllTypes, []string{"a"}, false},
	} {
		if err := c.rule.Check(c.types); (err == nil) != c.ok {
			t.Errorf("rule %d, %v: %v", c.rule, c.types, err)
		}
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	r, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"api2cart", "customers1st", "customers1st@bare", "propstack", "sixpark", "sixpark@base64", "smake", "smake@2022-02-01", "standard"}, r.Names()); diff != "" {
		t.Error(diff)
	}
	d, ok := r.Get("standard")
	if !ok || d.Name() != "standard" {
		t.Error("standard is not there")
	}
	if _, ok := r.Get("nothing"); ok {
		t.Error("a dialect is there that is not")
	}
	if _, err := dialect.NewRegistry(d, d); err == nil {
		t.Error("two dialects of one name were taken")
	}
}
