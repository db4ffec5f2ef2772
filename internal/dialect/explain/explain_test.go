package explain_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
	"grapnel/internal/dialect/explain"
	"grapnel/internal/dialect/standard"
	"grapnel/internal/hook"
)

const (
	secret = "whsec_+/8xMjM0NTY3ODlhYmNkZWYrLytnaGlqa2xtbm9wcXI="
	other  = "whsec_eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="
	// body has what formatters treat in different ways: order, escapes, slashes,
	// letters beyond ASCII, a number with a zero that counts.
	body = `{"type":"user.created","timestamp":"2026-01-31T08:00:00.000Z","data":{"name":"Zoë <z@example.com>","id":1,"url":"https://example.com/a?b=1&c=2","rate":1.50,"tags":["a","b"],"text":"a\nb","emoji":"😀"}}`
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func contract(t testing.TB) *dialect.Dialect {
	t.Helper()
	d, err := standard.Dialect()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// request is one that a test makes a mistake in.
type request struct {
	header  http.Header
	body    []byte
	secrets []string
	at      time.Time
}

// sign makes the headers of a body.
func sign(t testing.TB, secret, id string, body []byte) http.Header {
	t.Helper()
	d := contract(t)
	key, err := d.Key(hook.Secret(secret))
	if err != nil {
		t.Fatal(err)
	}
	headers, err := d.Header(dialect.Request{Event: &hook.Event{}, ID: id, Body: body, At: noon, N: 1, Keys: []dialect.Key{key}})
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for _, x := range headers {
		h.Set(x.Name, x.Value)
	}
	return h
}

// signRaw signs a text with a key in the way of the contract, whatever the
// text and the key are.
func signRaw(t testing.TB, key []byte, text string) string {
	t.Helper()
	padded := key
	if len(padded) < 24 || len(padded) > 64 {
		t.Fatalf("a key of %d bytes", len(key))
	}
	id, rest, _ := strings.Cut(text, ".")
	stamp, body, _ := strings.Cut(rest, ".")
	unix, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	d := contract(t)
	k, err := d.Key(hook.Secret("whsec_" + base64.StdEncoding.EncodeToString(padded)))
	if err != nil {
		t.Fatal(err)
	}
	headers, err := d.Header(dialect.Request{Event: &hook.Event{}, ID: id, Body: []byte(body), At: time.Unix(unix, 0), N: 1, Keys: []dialect.Key{k}})
	if err != nil {
		t.Fatal(err)
	}
	return headers[len(headers)-1].Value
}

const stamp = "1769860800" // noon

func text(body string) string { return "evt_1." + stamp + "." + body }

// signedAs makes a request whose body was signed in another form.
func signedAs(signed, received string) func(t *testing.T, r *request) {
	return func(t *testing.T, r *request) {
		r.header, r.body = sign(t, secret, "evt_1", []byte(signed)), []byte(received)
	}
}

// keyed makes a request that was signed with these bytes as the key.
func keyed(key []byte) func(t *testing.T, r *request) {
	return func(t *testing.T, r *request) {
		r.header.Set("webhook-signature", signRaw(t, key, text(body)))
	}
}

func set(name, value string) func(t *testing.T, r *request) {
	return func(_ *testing.T, r *request) { r.header.Set(name, value) }
}

func indented(src, indent string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(src), "", indent); err != nil {
		panic(err)
	}
	return b.String()
}

// sorted is JSON with sorted keys and everything else as it was.
const sorted = `{"data":{"emoji":"😀","id":1,"name":"Zoë <z@example.com>","rate":1.50,"tags":["a","b"],"text":"a\nb","url":"https://example.com/a?b=1&c=2"},"timestamp":"2026-01-31T08:00:00.000Z","type":"user.created"}`

// spaced is the form that Python writes, without its escapes.
const spaced = `{"type": "user.created", "timestamp": "2026-01-31T08:00:00.000Z", "data": {"name": "Zoë <z@example.com>", "id": 1, "url": "https://example.com/a?b=1&c=2", "rate": 1.50, "tags": ["a", "b"], "text": "a\nb", "emoji": "😀"}}`

var (
	ascii   = strings.NewReplacer("ë", `\u00eb`, "😀", `\ud83d\ude00`)
	slashed = strings.NewReplacer("ë", `\u00eb`, "😀", `\ud83d\ude00`, "/", `\/`)
	html    = strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`)
	// sortedInside has sorted data, as an object of one key or of luck has, so
	// that sorting all of it changes the outermost order alone.
	sortedInside = `{"type":"user.created","timestamp":"2026-01-31T08:00:00.000Z","data":{"id":1,"name":"a"}}`
	keyBytes     = []byte("\xfb\xff123456789abcdef+/+ghijklmnopqr")
)

// mistakes are requests that were made by a mistake. Each must be found, and
// nothing else.
var mistakes = []struct {
	name string
	make func(t *testing.T, r *request)
	want []explain.Kind
}{
	{"pretty received, compact signed", signedAs(body, indented(body, "  ")), []explain.Kind{explain.JSONCompact}},
	{"spaced received, compact signed", signedAs(body, spaced), []explain.Kind{explain.JSONCompact}},
	{"compact received, two spaces signed", signedAs(indented(body, "  "), body), []explain.Kind{explain.JSONPretty}},
	{"compact received, four spaces signed", signedAs(indented(body, "    "), body), []explain.Kind{explain.JSONPretty}},
	{"compact received, tabs signed", signedAs(indented(body, "\t"), body), []explain.Kind{explain.JSONPretty}},
	{"compact received, spaced signed", signedAs(spaced, body), []explain.Kind{explain.JSONSpaced}},
	{"sorted signed", signedAs(sorted, body), []explain.Kind{explain.JSONSorted}},
	{"sorted and pretty signed", signedAs(indented(sorted, "  "), body), []explain.Kind{explain.JSONSorted}},
	{"sorted received", signedAs(sortedInside, `{"data":{"id":1,"name":"a"},"timestamp":"2026-01-31T08:00:00.000Z","type":"user.created"}`), []explain.Kind{explain.JSONOrder}},
	{"sorted and pretty received", signedAs(sortedInside, indented(`{"data":{"id":1,"name":"a"},"timestamp":"2026-01-31T08:00:00.000Z","type":"user.created"}`, "  ")), []explain.Kind{explain.JSONOrder}},
	{"ASCII received", signedAs(body, ascii.Replace(body)), []explain.Kind{explain.JSONEscapes}},
	{"ASCII and slashes received", signedAs(body, slashed.Replace(body)), []explain.Kind{explain.JSONEscapes}},
	{"HTML escapes received", signedAs(body, html.Replace(body)), []explain.Kind{explain.JSONEscapes}},
	{"ASCII signed", signedAs(ascii.Replace(body), body), []explain.Kind{explain.JSONEscapes}},
	{"ASCII and slashes signed", signedAs(slashed.Replace(body), body), []explain.Kind{explain.JSONEscapes}},
	{"HTML escapes signed", signedAs(html.Replace(body), body), []explain.Kind{explain.JSONEscapes}},
	{"spaces and ASCII received", signedAs(body, ascii.Replace(spaced)), []explain.Kind{explain.JSONCompact, explain.JSONEscapes}},
	{"newline added", signedAs(body, body+"\n"), []explain.Kind{explain.NewlineAdded}},
	{"CRLF added", signedAs(body, body+"\r\n"), []explain.Kind{explain.NewlineAdded}},
	{"newline removed", signedAs(body+"\n", body), []explain.Kind{explain.NewlineRemoved}},
	{"CRLF removed", signedAs(body+"\r\n", body), []explain.Kind{explain.NewlineRemoved}},
	{"LF became CRLF", signedAs("a\nb\n", "a\r\nb\r\n"), []explain.Kind{explain.LineEndings}},
	{"CRLF became LF", signedAs("a\r\nb\r\n", "a\nb\n"), []explain.Kind{explain.LineEndings}},
	{"BOM added", signedAs(body, "\ufeff"+body), []explain.Kind{explain.ByteOrderMark}},
	{"BOM removed", signedAs("\ufeff"+body, body), []explain.Kind{explain.ByteOrderMark}},
	{"BOM and newline added", signedAs(body, "\ufeff"+body+"\n"), []explain.Kind{explain.NewlineAdded, explain.ByteOrderMark}},
	{"base64 received", signedAs(body, base64.StdEncoding.EncodeToString([]byte(body))), []explain.Kind{explain.Base64Body}},
	{"base64url received", signedAs(body, base64.RawURLEncoding.EncodeToString([]byte(body))), []explain.Kind{explain.Base64Body}},
	{"base64 signed", signedAs(base64.StdEncoding.EncodeToString([]byte(body)), body), []explain.Kind{explain.Base64Body}},
	{"JSON in a text", signedAs(body, strconv.Quote(body)), []explain.Kind{explain.QuotedBody}},
	{"Latin-1", signedAs("Zoë", "ZoÃ«"), []explain.Kind{explain.Charset}},
	{"body lost", signedAs(body, ""), []explain.Kind{explain.EmptyBody}},

	{"prefix kept", keyed([]byte(secret)), []explain.Kind{explain.SecretPrefixKept}},
	{"prefix stripped, not decoded", keyed([]byte(secret[6:])), []explain.Kind{explain.SecretAsText}},
	{"line break behind the secret", keyed([]byte(secret + "\n")), []explain.Kind{explain.SecretLineBreak}},
	{"line break behind the text", keyed([]byte(secret[6:] + "\n")), []explain.Kind{explain.SecretLineBreak}},
	{"prefix lost", func(_ *testing.T, r *request) { r.secrets = []string{secret[6:]} }, []explain.Kind{explain.SecretPrefixLost}},
	{"base64url secret", func(_ *testing.T, r *request) {
		r.secrets = []string{strings.NewReplacer("+", "-", "/", "_").Replace(secret)}
	}, []explain.Kind{explain.SecretBase64URL}},
	{"base64url secret without padding or prefix", func(_ *testing.T, r *request) {
		r.secrets = []string{strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(secret[6:])}
	}, []explain.Kind{explain.SecretBase64URL}},
	{"padding lost", func(_ *testing.T, r *request) { r.secrets = []string{strings.TrimRight(secret, "=")} }, []explain.Kind{explain.SecretBase64URL}},
	{"hex secret", func(_ *testing.T, r *request) { r.secrets = []string{"whsec_" + hex.EncodeToString(keyBytes)} }, []explain.Kind{explain.SecretHex}},
	{"hex secret without prefix", func(_ *testing.T, r *request) { r.secrets = []string{hex.EncodeToString(keyBytes)} }, []explain.Kind{explain.SecretHex}},
	{"old secret", func(t *testing.T, r *request) {
		r.header, r.secrets = sign(t, other, "evt_1", []byte(body)), []string{secret, other}
	}, []explain.Kind{explain.OldSecret}},
	{"old secret and a line break", func(t *testing.T, r *request) {
		r.header, r.body, r.secrets = sign(t, other, "evt_1", []byte(body)), []byte(body+"\n"), []string{secret, other}
	}, []explain.Kind{explain.NewlineAdded, explain.OldSecret}},
	{"prefix kept and body pretty", func(t *testing.T, r *request) {
		keyed([]byte(secret))(t, r)
		r.body = []byte(indented(body, "  "))
	}, []explain.Kind{explain.JSONCompact, explain.SecretPrefixKept}},

	{"milliseconds in the header and signed", func(t *testing.T, r *request) {
		r.header.Set("webhook-timestamp", stamp+"123")
		r.header.Set("webhook-signature", signRaw(t, keyBytes, "evt_1."+stamp+"123."+body))
	}, []explain.Kind{explain.TimestampUnit}},
	{"milliseconds in the header, seconds signed", set("webhook-timestamp", stamp+"123"), []explain.Kind{explain.TimestampUnit}},
	{"nanoseconds in the header, seconds signed", set("webhook-timestamp", stamp+"123456789"), []explain.Kind{explain.TimestampUnit}},
	{"a date in the header, seconds signed", set("webhook-timestamp", "2026-01-31T12:00:00Z"), []explain.Kind{explain.TimestampUnit}},
	{"a fraction in the header, seconds signed", set("webhook-timestamp", stamp+".25"), []explain.Kind{explain.TimestampUnit}},
	{"seconds in the header, milliseconds signed", func(t *testing.T, r *request) {
		r.header.Set("webhook-signature", signRaw(t, keyBytes, "evt_1."+stamp+"000."+body))
	}, []explain.Kind{explain.TimestampUnit}},
	{"old", func(_ *testing.T, r *request) { r.at = noon.Add(6 * time.Minute) }, []explain.Kind{explain.TimestampOld}},
	{"ahead", func(_ *testing.T, r *request) { r.at = noon.Add(-6 * time.Minute) }, []explain.Kind{explain.TimestampAhead}},

	{"id missing", func(_ *testing.T, r *request) { r.header.Del("webhook-id") }, []explain.Kind{explain.MissingID}},
	{"id missing, there in the body", func(t *testing.T, r *request) {
		r.body = []byte(`{"id":"evt_7"}`)
		r.header = sign(t, secret, "evt_7", r.body)
		r.header.Del("webhook-id")
	}, []explain.Kind{explain.MissingID}},
	{"timestamp missing", func(_ *testing.T, r *request) { r.header.Del("webhook-timestamp") }, []explain.Kind{explain.MissingHeader}},
	{"signature missing", func(_ *testing.T, r *request) { r.header.Del("webhook-signature") }, []explain.Kind{explain.MissingHeader}},
	{"other names", func(_ *testing.T, r *request) {
		h := http.Header{}
		for name, values := range r.header {
			h["HTTP_"+strings.ReplaceAll(strings.ToUpper(name), "-", "_")] = values
		}
		r.header = h
	}, []explain.Kind{explain.HeaderName}},
	{"another brand's names", func(_ *testing.T, r *request) {
		h := http.Header{}
		for name, values := range r.header {
			h[strings.Replace(name, "Webhook-", "Svix-", 1)] = values
		}
		r.header = h
	}, []explain.Kind{explain.HeaderName}},
	{"header twice", func(_ *testing.T, r *request) { r.header.Add("Webhook-Id", "evt_1") }, []explain.Kind{explain.HeaderRepeated}},
	{"header as a list", func(_ *testing.T, r *request) {
		r.header.Set("webhook-signature", `["`+r.header.Get("webhook-signature")+`"]`)
	}, []explain.Kind{explain.HeaderArray}},
	{"header in quotes", func(_ *testing.T, r *request) { r.header.Set("webhook-id", `"evt_1"`) }, []explain.Kind{explain.HeaderArray}},
	{"signature without version", func(_ *testing.T, r *request) {
		r.header.Set("webhook-signature", strings.TrimPrefix(r.header.Get("webhook-signature"), "v1,"))
	}, []explain.Kind{explain.SignatureEncoding}},
	{"signature in hex", func(t *testing.T, r *request) {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.header.Get("webhook-signature"), "v1,"))
		if err != nil {
			t.Fatal(err)
		}
		r.header.Set("webhook-signature", "v1,"+hex.EncodeToString(raw))
	}, []explain.Kind{explain.SignatureEncoding}},
	{"signature without padding", func(_ *testing.T, r *request) {
		r.header.Set("webhook-signature", strings.TrimRight(r.header.Get("webhook-signature"), "="))
	}, []explain.Kind{explain.SignatureEncoding}},
}

func TestEveryMistakeIsFound(t *testing.T) {
	t.Parallel()
	found := map[explain.Kind]bool{}
	for _, m := range mistakes {
		r := request{header: sign(t, secret, "evt_1", []byte(body)), body: []byte(body), secrets: []string{secret}, at: noon}
		m.make(t, &r)
		report := explain.Explain(input(contract(t), r))
		var got []explain.Kind
		for _, x := range report.Mistakes {
			got = append(got, x.Mistake)
			found[x.Mistake] = true
			if x.Detail == "" || x.Advice == "" {
				t.Errorf("%s: %s says nothing", m.name, x.Mistake)
			}
		}
		if !slices.Equal(got, m.want) {
			t.Errorf("%s: found %v, want %v; %s", m.name, got, m.want, report.Summary)
		}
		if valid := slices.Equal(m.want, []explain.Kind{explain.OldSecret}); report.Valid != valid {
			t.Errorf("%s: valid is %v", m.name, report.Valid)
		}
		hidesSecrets(t, report, r.secrets)
	}
	for _, k := range []explain.Kind{ // made by those who speak other contracts, where the secret is a text and more is signed
		explain.SecretDecoded, explain.SecretQuotes, explain.HeaderAdded, explain.HeaderCase, explain.URLChanged, explain.WrongHash,
		explain.JSONEmpty, explain.JSONNumbers,
	} {
		found[k] = true
	}
	for _, k := range explain.Kinds() {
		if !found[k] {
			t.Errorf("no case makes the mistake %s", k)
		}
	}
}

func input(d *dialect.Dialect, r request) explain.Input {
	in := explain.Input{Dialect: d, Method: "POST", Header: r.header, Body: r.body, At: r.at, Tolerance: 5 * time.Minute}
	for i, s := range r.secrets {
		in.Secrets = append(in.Secrets, explain.Secret{Name: "secret " + strconv.Itoa(i+1), Value: hook.Secret(s)})
	}
	return in
}

func hidesSecrets(t *testing.T, report *explain.Report, secrets []string) {
	t.Helper()
	out, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range secrets {
		if n := len(s) / 2; bytes.Contains(out, []byte(s[n:])) || bytes.Contains(out, []byte(s[:n])) {
			t.Errorf("the report shows a secret: %s", out)
		}
	}
}

func TestValidRequest(t *testing.T) {
	t.Parallel()
	r := request{header: sign(t, secret, "evt_1", []byte(body)), body: []byte(body), secrets: []string{secret, other}, at: noon}
	report := explain.Explain(input(contract(t), r))
	if !report.Valid || len(report.Mistakes) != 0 || report.Summary != "the signature is valid" {
		t.Errorf("%+v", report)
	}
	for _, c := range report.Checks {
		if c.Result != explain.OK {
			t.Errorf("%+v", c)
		}
	}
	s := report.Signatures[0]
	if len(report.Signatures) != 1 || s.Kind != "v1: hmac-sha256 in base64" || !s.Secrets[0].Fits || s.Secrets[1].Fits {
		t.Errorf("%+v", report.Signatures)
	}
}

// What no known mistake explains is not explained by a guess.
func TestUnknownMistake(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*request){
		"another body":   func(r *request) { r.body = []byte(`{"id":2}`) },
		"another secret": func(r *request) { r.secrets = []string{other} },
		"no signature":   func(r *request) { r.header.Set("webhook-signature", "v9,eHh4") },
	} {
		r := request{header: sign(t, secret, "evt_1", []byte(body)), body: []byte(body), secrets: []string{secret}, at: noon}
		change(&r)
		report := explain.Explain(input(contract(t), r))
		if report.Valid || len(report.Mistakes) != 0 || report.Summary == "" || !strings.Contains(report.Advice, "no known mistake") {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

// Public keys are explained too, and have no wrong forms.
func TestPublicKey(t *testing.T) {
	t.Parallel()
	const private = "whsk_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
	r := request{header: sign(t, private, "evt_1", []byte(body)), body: []byte(body + "\n"), secrets: []string{private}, at: noon}
	report := explain.Explain(input(contract(t), r))
	if !report.Has(explain.NewlineAdded) || len(report.Mistakes) != 1 || report.Signatures[0].Kind != "v1a: ed25519 in base64" {
		t.Errorf("%+v", report)
	}
}

const plain = `
name: plain
title: Plain
request: {timeout: 20s, headers: {Content-Type: application/json, User-Agent: x}, body: {json: "{event.data}"}}
subscription: any
secret: {owner: endpoint, made: always, forms: [text], new: {bytes: 20, encoding: hex}}
sign:
  - header: X-Signature
    over: "{attempt.unix}.{body}"
    with: [{key: text, algorithm: hmac-sha256, encoding: hex, text: "v1={signature}"}]
    join: ","
    value: "t={attempt.unix},{signatures}"
success: [2xx]
retry: {on: any, waits: [5s]}
on_inactive: hold
`

// In contracts whose secrets are texts, the timestamp may stand beside the
// signature, and decoding the secret is the mistake.
func TestTextSecrets(t *testing.T) {
	t.Parallel()
	d, err := dialect.Load("plain.yaml", []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	const hexed, encoded = "30313233343536373839616263646566", "MDEyMzQ1Njc4OWFiY2RlZg=="
	for _, c := range []struct {
		name, secret, key, change, to string
		want                          explain.Kind
	}{
		{"hex", hexed, "0123456789abcdef", "", "", explain.SecretHex},
		{"base64", encoded, "0123456789abcdef", "", "", explain.SecretDecoded},
		{"prefix and base64", "whsec_" + encoded, "0123456789abcdef", "", "", explain.SecretDecoded},
		{"prefix", "whsec_" + encoded, encoded, "", "", explain.SecretPrefixLost},
		{"line break", encoded, encoded + "\n", "", "", explain.SecretLineBreak},
		{"milliseconds", hexed, hexed, "t=" + stamp, "t=" + stamp + "000", explain.TimestampUnit},
		{"upper case", hexed, hexed, "v1=", "v1=", explain.SignatureEncoding},
	} {
		k, err := d.Key(hook.Secret(c.key))
		if err != nil {
			t.Fatal(err)
		}
		headers, err := d.Header(dialect.Request{Event: &hook.Event{}, Body: []byte(body), At: noon, N: 1, Keys: []dialect.Key{k}})
		if err != nil {
			t.Fatal(err)
		}
		value := strings.Replace(headers[2].Value, c.change, c.to, 1)
		if c.want == explain.SignatureEncoding {
			before, sig, _ := strings.Cut(value, "v1=")
			value = before + "v1=" + strings.ToUpper(sig)
		}
		r := request{header: http.Header{"X-Signature": {value}}, body: []byte(body), secrets: []string{c.secret}, at: noon}
		if report := explain.Explain(input(d, r)); len(report.Mistakes) != 1 || !report.Has(c.want) {
			t.Errorf("%s: %+v", c.name, report)
		}
	}
}

// However odd a request is, there is a report.
func FuzzExplain(f *testing.F) {
	registry, err := all.Registry()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("evt_1", stamp, "v1,eHh4", []byte(body), secret)
	f.Add("", "", "", []byte(nil), "")
	f.Add(`["a"]`, stamp+"000", "v1,a v1a,b  v2", []byte("\ufeff[[1,\"\\u00e9\"]]\r\n"), "whsk_AQ==")
	f.Add("a.b", "1e9", `"v1,"`, []byte(`"{\"a\":1}"`), "eHh4\n")
	f.Add("a", "2026-01-31T12:00:00Z", "t=1,v1=2", []byte(strings.Repeat("[", 5000)), "whsec_zz")
	f.Fuzz(func(t *testing.T, id, unix, sig string, body []byte, secret string) {
		h := http.Header{"Webhook-Id": {id}, "WEBHOOK_TIMESTAMP": {unix}, "webhook-timestamp": {unix}, "Webhook-Signature": {sig}}
		name := []string{"standard", "api2cart", "smake"}[len(id)%3]
		d, _ := registry.Get(name)
		h["x-webhook-"+strings.Trim(id, " ")], h["X-Signature"], h["X-Webhook-Entity"] = []string{unix, sig}[:len(sig)%2+1], []string{sig}, []string{secret}
		r := explain.Explain(explain.Input{Dialect: d, Header: h, Body: body, At: noon, Tolerance: time.Minute,
			Secrets: []explain.Secret{{Name: "a", Value: hook.Secret(secret)}, {Name: "a", Value: hook.Secret(secret)}, {Name: "b", Value: other}}})
		if r.Summary == "" || len(r.Checks) < 4 {
			t.Errorf("%s: %+v", name, r)
		}
	})
}
