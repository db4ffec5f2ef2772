package dialect_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/testaid"
)

// signed is a dialect whose lines are replaced by those given.
func signed(t testing.TB, replace ...string) *dialect.Dialect {
	t.Helper()
	d, err := dialect.Load("signed.yaml", []byte(signedSource(t, replace...)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func signedSource(t testing.TB, replace ...string) string {
	t.Helper()
	src := signedBase
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(src, replace[i]) {
			t.Fatalf("%q is not in the file", replace[i])
		}
		src = strings.Replace(src, replace[i], replace[i+1], 1)
	}
	return src
}

const signedBase = `name: signed
title: Signed
request:
  timeout: 10s
  headers:
    Content-Type: application/json
    User-Agent: x
    X-Webhook-Fixed: "a/b"
  body:
    json: "{event.data}"
subscription: any
secret: {owner: endpoint, made: always, forms: [text]}
sign:
  - header: X-Webhook-Signature
    over: "{body}"
    with: [{key: text, algorithm: hmac-sha256, encoding: hex}]
success: [200]
retry: {on: none}
on_inactive: cancel
`

func TestLoadRefusesWhatCannotBeSigned(t *testing.T) {
	t.Parallel()
	const fixed, body, over, form = `X-Webhook-Fixed: "a/b"`, `json: "{event.data}"`, `over: "{body}"`, `form: {A: "{event.id}"}`
	for _, c := range []struct {
		want    string
		replace []string
	}{
		{"signed.yaml:8: there is no placeholder {event.matadata.x} here", []string{fixed, `X: "{event.matadata.x|}"`}},
		{"signed.yaml:8: {event.metadata.x} may have no value", []string{fixed, `X: "{event.metadata.x}"`}},
		{"signed.yaml:8: {attempt.retry} may have no value", []string{fixed, `X: "{attempt.retry}"`}},
		{"signed.yaml:8: {event.id} always has a value", []string{fixed, `X: "{event.id|1}"`}},
		{"{event.metadata.} must say of what", []string{fixed, `X: "{event.metadata.|}"`}},
		{"{tenant.setting.} must say of what", []string{fixed, `X: "{tenant.setting.|a}"`}},
		{"printable ASCII", []string{fixed, `X: "{event.metadata.x|é}"`}},
		{"signed.yaml:15: there is no placeholder {event.metadata.x} here", []string{over, `over: "{event.metadata.x}{body}"`}},
		{"signed.yaml:15: over must hold {body}", []string{over, `over: "{request.url}"`}},
		{"over must hold {body}", []string{over, `over: "{headers_php_json:X-Webhook-}"`}},
		{"over must hold {body}", []string{over, `over: "{header.X-Webhook-Fixed}"`}},
		{"{header.X-Webhook-Other} names no header", []string{over, `over: "{header.X-Webhook-Other}{body}"`}},
		{"is not what the name of a header begins with", []string{over, `over: "{headers_php_json:X Y}{body}"`}},
		{"{headers_php_json:} must say of what", []string{over, `over: "{headers_php_json:}{body}"`}},
		{"signed.yaml:15: {form_sorted} is for a body that is a form", []string{over, `over: "{form_sorted}"`}},
		{"signed.yaml:14: X-Webhook-Signature signs all headers", []string{over, `over: "{headers_php_json:X-Webhook-}{body}"`, "success:",
			"  - header: X-Webhook-Second\n    over: \"{body}\"\n    with: [{key: text, algorithm: hmac-sha1, encoding: hex}]\nsuccess:"}},
		{"must stand a text", []string{"encoding: hex}]", "encoding: hex}]\n    value: \"{attempt.unix}{signatures}\""}},
		{"signed.yaml:10: the form is empty", []string{body, "form: {}"}},
		{"a member of the form has a name", []string{body, `form: {"é": a}`}},
		{"there is no placeholder {body} here", []string{body, `form: {a: "{body}"}`}},
		{"one of the keys json and form", []string{body, body + "\n    " + form}},
		{"one of the keys json and form", []string{body, "style: js"}},
		{"signed.yaml:5: the query is empty", []string{"  headers:\n", "  query: {}\n  headers:\n"}},
		{"signed.yaml:5: there is no placeholder {event.data} here", []string{"  headers:\n", "  query: {a: \"{event.data}\"}\n  headers:\n"}},
		{"a parameter of the query", []string{"  headers:\n", "  query: {\"\": a}\n  headers:\n"}},
	} {
		_, err := dialect.Load("signed.yaml", []byte(signedSource(t, c.replace...)))
		var e *dialect.LoadError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.replace, err, c.want)
		}
	}
}

// headerOf makes the headers of a request and leaves out those that every one
// has.
func headerOf(t testing.TB, d *dialect.Dialect, r dialect.Request) map[string]string {
	t.Helper()
	if r.Event == nil {
		r.Event = &hook.Event{Type: "a.b"}
	}
	r.Method = d.Method()
	if r.Keys == nil {
		key, err := d.Key("secret")
		if err != nil {
			t.Fatal(err)
		}
		r.Keys = []dialect.Key{key}
	}
	headers, err := d.Header(r)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, h := range headers {
		if _, twice := out[h.Name]; twice {
			t.Errorf("%s is there twice", h.Name)
		}
		if h.Name != "Content-Type" && h.Name != "User-Agent" {
			out[h.Name] = h.Value
		}
	}
	return out
}

func TestHeaderTemplates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, template string
		request        dialect.Request
		want           string // "" where the header is left out
	}{
		{"metadata", "{event.metadata.store_id|1}", dialect.Request{Event: &hook.Event{Metadata: []byte(`{"store_id":"7"}`)}}, "7"},
		{"A2-D3 what the server tells", "{notice.code|0}", dialect.Request{Event: &hook.Event{Type: "grapnel.connection.lost", Metadata: []byte(`{"code":"7"}`)}}, "7"},
		{"A2-D3 what a publisher says is no notice", "{notice.code|0}", dialect.Request{Event: &hook.Event{Type: "product.add", Metadata: []byte(`{"code":"7"}`)}}, "0"},
		{"metadata, a number", "{event.metadata.store_id|1}", dialect.Request{Event: &hook.Event{Metadata: []byte(`{"store_id":7.0}`)}}, "7.0"},
		{"metadata, a path", "{event.metadata.a.b|1}", dialect.Request{Event: &hook.Event{Metadata: []byte(` {"a": {"c":1, "b" : true}}`)}}, "true"},
		{"metadata, an escape", "{event.metadata.a|1}", dialect.Request{Event: &hook.Event{Metadata: []byte(`{"a":"\u00e9\/"}`)}}, "é/"},
		{"metadata, null", "{event.metadata.a|1}", dialect.Request{Event: &hook.Event{Metadata: []byte(`{"a":null}`)}}, "1"},
		{"metadata, an object", "{event.metadata.a|1}", dialect.Request{Event: &hook.Event{Metadata: []byte(`{"a":{}}`)}}, "1"},
		{"metadata, an empty text", "{event.metadata.a|1}", dialect.Request{Event: &hook.Event{Metadata: []byte(`{"a":""}`)}}, "1"},
		{"no metadata", "{event.metadata.a|1}", dialect.Request{}, "1"},
		{"left out", "{event.metadata.a|}", dialect.Request{}, ""},
		{"left out, white space", "{event.metadata.a|}", dialect.Request{Event: &hook.Event{Metadata: []byte(`{"a":" \n\t"}`)}}, ""},
		{"data", "{event.data.id|}", dialect.Request{Event: &hook.Event{Data: []byte(`{"id":"x y"}`)}}, "x y"},
		{"A2-S3 line breaks", "{event.data.a|}", dialect.Request{Event: &hook.Event{Data: []byte(`{"a":" b\r\nc\u0000d\u007fe\tf "}`)}}, "b  c d e\tf"},
		{"A2-S3 bad UTF-8", "{event.data.a|}", dialect.Request{Event: &hook.Event{Data: []byte("{\"a\":\"\xff\xfeb\"}")}}, "\ufffdb"},
		{"entity", "{event.entity}", dialect.Request{Event: &hook.Event{Type: "order.item.add"}}, "order.item"},
		{"action", "{event.action}", dialect.Request{Event: &hook.Event{Type: "order.item.add"}}, "add"},
		{"entity without a dot", "{event.entity}", dialect.Request{Event: &hook.Event{Type: "order"}}, "order"},
		{"entity of an operational event", "{event.entity}/{event.action}", dialect.Request{
			Event: &hook.Event{Type: "grapnel.connection.lost"}, Endpoint: &hook.Endpoint{EventTypes: []string{"product.add"}}}, "product/add"},
		{"vendor's id", "{endpoint.vendor_id}", dialect.Request{Endpoint: &hook.Endpoint{VendorID: "17"}}, "17"},
		{"setting", "{endpoint.setting.a|}-{tenant.setting.b|c}", dialect.Request{Endpoint: &hook.Endpoint{Settings: map[string]string{"a": "1"}}}, "1-c"},
		{"tenant's setting", "{tenant.setting.b|c}", dialect.Request{Tenant: &hook.Tenant{Settings: map[string]string{"b": "2"}}}, "2"},
		{"first attempt", "{attempt.retry|}", dialect.Request{N: 1}, ""},
		{"second attempt", "{attempt.retry|}", dialect.Request{N: 2}, "1"},
		{"the body's hash", "{body.sha256}", dialect.Request{}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	} {
		d := signed(t, `X-Webhook-Fixed: "a/b"`, "X-Made: "+fmt.Sprintf("%q", c.template), "subscription:", "ids: uuid\nsubscription:")
		got, sent := headerOf(t, d, c.request)["X-Made"]
		if got != c.want || sent != (c.want != "") {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// The endpoint's own headers come last, in their order, and are sendable.
func TestHeaderPutsTheEndpointsOwnLast(t *testing.T) {
	t.Parallel()
	d := signed(t)
	key, err := d.Key("s")
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Header(dialect.Request{Event: &hook.Event{}, Keys: []dialect.Key{key}, Extra: []hook.Header{{Name: "b", Value: "1"}, {Name: "A", Value: " x\ny"}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]hook.Header{{Name: "b", Value: "1"}, {Name: "A", Value: "x y"}}, got[len(got)-2:]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// signsLike checks what is signed: a second dialect, which signs the body
// alone, must come to the same signature over the wanted text.
func signsLike(t *testing.T, d *dialect.Dialect, r dialect.Request, want string) {
	t.Helper()
	got := headerOf(t, d, r)["X-Webhook-Signature"]
	plain := headerOf(t, signed(t, `    X-Webhook-Fixed: "a/b"`+"\n", ""), dialect.Request{Body: []byte(want)})["X-Webhook-Signature"]
	if got != plain {
		t.Errorf("%s signs something else than %q", d.Name(), want)
	}
}

func TestOver(t *testing.T) {
	t.Parallel()
	const over, fixed = `over: "{body}"`, `    X-Webhook-Fixed: "a/b"` + "\n"
	t.Run("A2-S1 headers as PHP's JSON", func(t *testing.T) {
		d := signed(t, over, `over: "{headers_php_json:X-Webhook-}{body}"`, fixed,
			fixed+`    X-Webhook-B: "{event.metadata.b|}"`+"\n"+`    X-Webhook-A: "{event.metadata.a|0}"`+"\n"+`    X-WebhookC: "no"`+"\n")
		signsLike(t, d, dialect.Request{Body: []byte("{}")}, `{"X-Webhook-A":"0","X-Webhook-Fixed":"a\/b"}{}`)
		signsLike(t, d, dialect.Request{Body: []byte("{}"), Event: &hook.Event{Metadata: []byte(`{"b":"\ud83d\ude00 <é>\u007f","a":"\"\\/\t'&"}`)}},
			`{"X-Webhook-A":"\"\\\/\t'&","X-Webhook-B":"\ud83d\ude00 <\u00e9>","X-Webhook-Fixed":"a\/b"}{}`)
		signsLike(t, d, dialect.Request{Extra: []hook.Header{{Name: "X-Webhook-Zone", Value: " z "}, {Name: "X-Other", Value: "y"}, {Name: "X-Webhook-AA", Value: "aa"}}},
			`{"X-Webhook-A":"0","X-Webhook-AA":"aa","X-Webhook-Fixed":"a\/b","X-Webhook-Zone":"z"}`) // A2-S4, A2-S5
	})
	t.Run("A2-S2 no headers", func(t *testing.T) {
		signsLike(t, signed(t, over, `over: "{headers_php_json:X-Webhook-}{body}"`, fixed, ""), dialect.Request{Body: []byte("1")}, "[]1")
	})
	t.Run("a header as it is sent", func(t *testing.T) {
		d := signed(t, over, `over: "{header.X-Time}:{header.X-Who}:{body}"`, fixed, `    X-Time: "t{attempt.unix}"`+"\n"+`    X-Who: "{event.metadata.who|}"`+"\n")
		signsLike(t, d, dialect.Request{Body: []byte("1"), At: time.Unix(5, 0), Event: &hook.Event{Metadata: []byte(`{"who":"\na"}`)}}, "t5:a:1")
		signsLike(t, d, dialect.Request{Body: []byte("1"), At: time.Unix(5, 0)}, "t5::1")
	})
	t.Run("URL and body", func(t *testing.T) {
		signsLike(t, signed(t, over, `over: "{request.method} {request.url}{body}"`), dialect.Request{URL: "https://a.example/b?c", Body: []byte("1")}, "POST https://a.example/b?c1")
	})
	t.Run("hash of the body", func(t *testing.T) {
		signsLike(t, signed(t, over, `over: "{body.sha256}"`), dialect.Request{}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	})
	t.Run("a form, sorted", func(t *testing.T) {
		d := signed(t, over, `over: "{request.url}{form_sorted}"`, `Content-Type: application/json`, `Content-Type: application/x-www-form-urlencoded`, `json: "{event.data}"`, `form: {b: "{event.type}", "a b": "x&=+ü", B: "{event.data}", c: ""}`)
		body, err := d.Body(dialect.Input{Event: &hook.Event{Type: "t/t", Data: []byte(`{"x": 1}`)}})
		if want := "b=t%2Ft&a+b=x%26%3D%2B%C3%BC&B=%7B%22x%22%3A+1%7D&c="; err != nil || string(body) != want {
			t.Fatalf("the body is %s (%v), want %s", body, err, want)
		}
		signsLike(t, d, dialect.Request{URL: "https://a.example/", Body: body}, `https://a.example/B{"x": 1}a bx&=+übt/tc`)
	})
}

func TestURL(t *testing.T) {
	t.Parallel()
	d := signed(t, "  headers:\n", "  query: {bodySHA256: \"{body.sha256}\", \"e v\": \"{event.type}&\"}\n  headers:\n", `over: "{body}"`, `over: "{request.url}"`)
	const added = "bodySHA256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855&e+v=a.b%26"
	for url, want := range map[string]string{
		"https://a.example":        "https://a.example?" + added,
		"https://a.example/b?":     "https://a.example/b?" + added,
		"https://a.example/b?c=d":  "https://a.example/b?c=d&" + added,
		"https://a.example/b?c&":   "https://a.example/b?c&" + added,
		"https://a.example/b#c?d":  "https://a.example/b?" + added + "#c?d",
		"https://a.example/%62?ü":  "https://a.example/%62?ü&" + added,
		"https://u:p@a.example/b/": "https://u:p@a.example/b/?" + added,
	} {
		if got := d.URL(dialect.Request{Event: &hook.Event{Type: "a.b"}, URL: url}); got != want {
			t.Errorf("%s becomes %s, want %s", url, got, want)
		}
	}
	if got := signed(t).URL(dialect.Request{URL: "https://a.example/#x"}); got != "https://a.example/#x" {
		t.Errorf("without a query the URL becomes %s", got)
	}
}

// A2-S2: whatever a header's value is, PHP's json_encode and ours agree on it.
func TestPHPAgreesOnHeaders(t *testing.T) {
	t.Parallel()
	php := testaid.Require(t, "php")
	const script = `while (($line = fgets(STDIN)) !== false) {
		$headers = json_decode($line, true);
		ksort($headers);
		echo base64_encode(json_encode($headers)), "\n";
	}`
	rng := rand.New(rand.NewPCG(4, 2))
	var input strings.Builder
	var wants []map[string]string
	for range 300 {
		headers := map[string]string{}
		for range rng.IntN(6) {
			name := "X-Webhook-" + string(rune('A'+rng.IntN(26))) + strings.Repeat("x", rng.IntN(3))
			headers[name] = headerText(rng)
		}
		wants = append(wants, headers)
		line, err := json.Marshal(headers)
		if err != nil {
			t.Fatal(err)
		}
		input.Write(append(line, '\n'))
	}
	run := exec.CommandContext(t.Context(), php, "-r", script)
	run.Stdin = strings.NewReader(input.String())
	output, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(output))
	if len(lines) != len(wants) {
		t.Fatalf("php gave %d lines for %d", len(lines), len(wants))
	}
	d := signed(t, `over: "{body}"`, `over: "{headers_php_json:X-Webhook-}{body}"`, `    X-Webhook-Fixed: "a/b"`+"\n", "")
	for i, headers := range wants {
		r := dialect.Request{Body: []byte("body")}
		for name, value := range headers {
			r.Extra = append(r.Extra, hook.Header{Name: name, Value: value})
		}
		var signedText []byte
		if err := json.Unmarshal([]byte(`"`+lines[i]+`"`), &signedText); err != nil {
			t.Fatal(err)
		}
		signsLike(t, d, r, string(signedText)+"body")
	}
}

// headerText makes a random value as it can be sent.
func headerText(rng *rand.Rand) string {
	var out []rune
	for range rng.IntN(20) {
		r := rune(rng.IntN([]int{0x7f, 0x800, 0x10000, 0x110000}[rng.IntN(4)]))
		if r >= ' ' && r != 0x7f && (r < 0xd800 || r > 0xdfff) {
			out = append(out, r)
		}
	}
	return strings.Trim(string(out), " \t")
}

func TestVerifyWhatIsSigned(t *testing.T) {
	t.Parallel()
	const over, fixed = `over: "{body}"`, `    X-Webhook-Fixed: "a/b"` + "\n"
	const php = `over: "{headers_php_json:X-Webhook-}{body}"`
	const timed = fixed + `    X-Webhook-Timestamp: "{attempt.unix}"` + "\n" + `    X-Webhook-Error: "{event.metadata.error|}"` + "\n"
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name    string
		replace []string
		extra   []hook.Header
		change  func(r *dialect.Received)
		want    dialect.Flaw // "" where it verifies
		says    string
	}{
		{"headers in PHP's JSON", []string{over, php, fixed, timed}, nil, nil, "", ""},
		{"with headers of the endpoint", []string{over, php, fixed, timed}, []hook.Header{{Name: "X-Webhook-Own", Value: "é"}}, nil, "", ""},
		{"names in lower case", []string{over, php, fixed, timed}, []hook.Header{{Name: "X-Webhook-Own", Value: "é"}}, func(r *dialect.Received) {
			lower := http.Header{}
			for name, values := range r.Header {
				lower[strings.ToLower(name)] = values
			}
			r.Header = lower
		}, "", ""},
		{"a header changed", []string{over, php, fixed, timed}, nil, func(r *dialect.Received) { r.Header.Set("X-Webhook-Fixed", "a/c") }, dialect.NoMatch, "fits"},
		{"a header added", []string{over, php, fixed, timed}, nil, func(r *dialect.Received) { r.Header.Set("X-Webhook-More", "1") }, dialect.NoMatch, "fits"},
		{"a header missing", []string{over, php, fixed, timed}, nil, func(r *dialect.Received) { r.Header.Del("X-Webhook-Fixed") }, dialect.MissingHeader, "X-Webhook-Fixed"},
		{"a header twice", []string{over, php, fixed, timed}, nil, func(r *dialect.Received) { r.Header.Add("X-Webhook-Fixed", "a/b") }, dialect.MalformedHeader, "2 times"},
		{"an extra header twice", []string{over, php, fixed, timed}, nil, func(r *dialect.Received) { r.Header["X-Webhook-More"] = []string{"1", "1"} }, dialect.MalformedHeader, "2 times"},
		{"an extra header in two cases", []string{over, php, fixed, timed}, nil, func(r *dialect.Received) {
			r.Header["X-Webhook-More"], r.Header["x-webhook-more"] = []string{"1"}, []string{"1"}
		}, dialect.MalformedHeader, "2 times"},
		{"a header that is no UTF-8", []string{over, php, fixed, timed}, nil, func(r *dialect.Received) { r.Header.Set("X-Webhook-More", "\xff") }, dialect.MalformedHeader, "not UTF-8"},
		{"an old timestamp among the signed headers", []string{over, php, fixed, timed}, nil, func(r *dialect.Received) { r.At = now.Add(time.Hour) }, dialect.TooOld, "old"},
		{"a header that may be missing", []string{over, php, fixed, timed}, nil, func(r *dialect.Received) { r.Header.Set("X-Webhook-Error", "x") }, dialect.NoMatch, "fits"},

		{"a named header", []string{over, `over: "{header.X-Time}.{body}"`, fixed, `    X-Time: "t={attempt.unix}"` + "\n"}, nil, nil, "", ""},
		{"a named header, old", []string{over, `over: "{header.X-Time}.{body}"`, fixed, `    X-Time: "t={attempt.unix}"` + "\n"}, nil,
			func(r *dialect.Received) { r.At = now.Add(time.Hour) }, dialect.TooOld, "old"},
		{"a named header, miswritten", []string{over, `over: "{header.X-Time}.{body}"`, fixed, `    X-Time: "t={attempt.unix}"` + "\n"}, nil,
			func(r *dialect.Received) { r.Header.Set("X-Time", "1800000000") }, dialect.MalformedHeader, "X-Time"},

		{"hash in a signed header", []string{over, `over: "{header.X-Hash}"`, fixed, `    X-Hash: "sha256={body.sha256}"` + "\n"}, nil, nil, "", ""},
		{"hash in a signed header, another body", []string{over, `over: "{header.X-Hash}"`, fixed, `    X-Hash: "sha256={body.sha256}"` + "\n"}, nil,
			func(r *dialect.Received) { r.Body = []byte("2") }, dialect.NoMatch, "SHA-256"},
		{"hash alone", []string{over, `over: "{body.sha256}"`}, nil, nil, "", ""},
		{"hash alone, another body", []string{over, `over: "{body.sha256}"`}, nil, func(r *dialect.Received) { r.Body = []byte("2") }, dialect.NoMatch, "fits"},

		{"URL and body", []string{over, `over: "{request.url}{body}"`}, nil, nil, "", ""},
		{"another URL", []string{over, `over: "{request.url}{body}"`}, nil, func(r *dialect.Received) { r.URL += "x" }, dialect.NoMatch, "fits"},
		{"no URL", []string{over, `over: "{request.url}{body}"`}, nil, func(r *dialect.Received) { r.URL = "" }, dialect.Unverifiable, "URL"},

		{"hash in the URL", []string{over, `over: "{request.url}"`, "  headers:\n", "  query: {h: \"{body.sha256}\"}\n  headers:\n"}, nil, nil, "", ""},
		{"hash in the URL, another body", []string{over, `over: "{request.url}"`, "  headers:\n", "  query: {h: \"{body.sha256}\"}\n  headers:\n"}, nil,
			func(r *dialect.Received) { r.Body = []byte("2") }, dialect.NoMatch, "parameter h"},
		{"hash twice in the URL", []string{over, `over: "{request.url}"`, "  headers:\n", "  query: {h: \"{body.sha256}\"}\n  headers:\n"}, nil,
			func(r *dialect.Received) { r.URL += "&h=1" }, dialect.Unverifiable, "2 times"},

		{"a form", []string{over, `over: "{form_sorted}"`, `Content-Type: application/json`, `Content-Type: application/x-www-form-urlencoded`, `json: "{event.data}"`, `form: {A: "{event.data}"}`}, nil, nil, "", ""},
		{"a form changed", []string{over, `over: "{form_sorted}"`, `Content-Type: application/json`, `Content-Type: application/x-www-form-urlencoded`, `json: "{event.data}"`, `form: {A: "{event.data}"}`}, nil,
			func(r *dialect.Received) { r.Body = []byte("A=2") }, dialect.NoMatch, "fits"},
	} {
		d := signed(t, c.replace...)
		event := &hook.Event{Type: "a.b", Data: []byte("1")}
		body, err := d.Body(dialect.Input{Event: event})
		if err != nil {
			t.Fatal(err)
		}
		request := dialect.Request{Event: event, Extra: c.extra, Body: body, At: now, N: 1, URL: "https://a.example/?x"}
		request.URL = d.URL(request)
		verifier, err := d.VerifyKey("secret")
		if err != nil {
			t.Fatal(err)
		}
		r := dialect.Received{Method: "POST", URL: request.URL, Header: http.Header{}, Body: body, At: now, Tolerance: time.Minute, Keys: []dialect.VerifyKey{verifier}}
		sent := headerOf(t, d, request)
		for name, value := range sent {
			r.Header.Set(name, value)
		}
		if c.change != nil {
			c.change(&r)
		}
		err = d.Verify(r)
		var refusal *dialect.Refusal
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (!errors.As(err, &refusal) || refusal.Flaw != c.want || !strings.Contains(refusal.Message, c.says)):
			t.Errorf("%s: %v, want %s: %s", c.name, err, c.want, c.says)
		}
		inspection := d.Inspect(r)
		if fits := len(inspection.Tokens) == 1 && inspection.Tokens[0].Fits[0]; c.want == "" && !fits {
			t.Errorf("%s: the inspection says that nothing fits", c.name)
		}
	}
}
