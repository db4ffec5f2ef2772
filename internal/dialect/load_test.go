package dialect_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"grapnel/internal/dialect"
)

// base is a valid dialect with everything that the format has but a second
// schedule.
const base = `name: acme
title: Acme
request:
  method: PUT
  http: "1.1"
  timeout: 10s
  headers:
    Content-Type: application/json
    User-Agent: Grapnel
    X-Acme-Id: "{event.id}"
    X-Acme-Time: "{attempt.unix}"
  body:
    json: {event: "{event.type}", n: 1.50, on: true, no: null, list: [], object: {}, content: "{event.data}"}
events: {thing_deleted: thing_updated}
subscription: one
secret: {owner: endpoint, made: optional, forms: [text], new: {bytes: 20, encoding: hex}}
sign:
  - header: X-Acme-Signature
    over: "{header.X-Acme-Time}.{body}"
    with: [{key: text, algorithm: hmac-sha256, encoding: hex, text: "v1={signature}"}]
    join: ","
    value: "t={attempt.unix},{signatures}"
success: [200, "202-204"]
retry:
  on: [408, 429, 5xx, no_answer]
  waits: [30m, 60m, 120m]
  deadline: 24h
answers: {unsubscribe: [410], throttle: [429]}
on_inactive: cancel
`

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	if _, err := dialect.Load("acme.yaml", []byte(base)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{base, "", "acme.yaml:1: the file must hold one YAML document"},
		{base, "- 1\n", "acme.yaml:1: the dialect must be a mapping"},
		{base, base + "---\nname: two\n", "acme.yaml:30: a second YAML document"},
		{base, strings.Repeat("#\n", 1<<18), "bytes, more than"},
		{"subscription: one", "subscription: [one", "acme.yaml:"},
		{"name: acme", "name: acme\nname: two", "acme.yaml:2: "},
		{"name: acme\n", "", `the dialect lacks the key "name"`},
		{"name: acme", "name: Acme Inc", "acme.yaml:1: the name"},
		{"name: acme", "name: 1", "name must be a text"},
		{"title: Acme", "title: \"\"", "acme.yaml:2: the title is empty"},
		{"title: Acme", "title: &a Acme", "anchor"},
		{"title: Acme", "titel: Acme", `acme.yaml:2: unknown key "titel" in the dialect`},
		{"method: PUT", "method: GET", "acme.yaml:4: method cannot be \"GET\""},
		{`http: "1.1"`, "http: 1.1", "acme.yaml:5: http must be a text"},
		{"timeout: 10s", "timeout: 10", "timeout must be a text"},
		{"timeout: 10s", "timeout: ten", "want a duration"},
		{"timeout: 10s", "timeout: -1s", "more than 0"},
		{"timeout: 10s", "timeout: 1ns", "acme.yaml:6: timeout is 1ns; it must be at least 100ms"},
		{"name: acme", "name: ..", "must begin with a letter or a digit"},
		{"name: acme", "name: \"@x\"", "must begin with a letter or a digit"},
		{"name: acme", "name: acme@", "must begin with a letter or a digit"},
		{"name: acme", "name: acme@.x", "must begin with a letter or a digit"},
		{"Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded; charset=utf-8", "acme.yaml:8: the Content-Type"},
		{`    json: {event: "{event.type}", n: 1.50, on: true, no: null, list: [], object: {}, content: "{event.data}"}`, `    form: {a: "{event.data}"}`, "acme.yaml:8: the Content-Type application/json does not fit the body"},
		{`X-Acme-Id: "{event.id}"`, `X-Acme-Id: "` + strings.Repeat("a", 5000) + `"`, "longer than 4096 bytes"},
		{"v1={signature}", strings.Repeat("a", 5000) + "{signature}", "longer than 4096 bytes"},
		{"events: {thing_deleted: thing_updated}", "events: {thing_deleted: thing_deleted}", "acme.yaml:14: thing_deleted is called the same"},
		{"events: {thing_deleted: thing_updated}", "events: {}", "acme.yaml:14: events is empty"},
		{"events: {thing_deleted: thing_updated}", "events: {thing_deleted: thing_updated}\ncatalogue: [thing_made]", "acme.yaml:14: the event thing_updated is not in the catalogue"},
		{"subscription: one", "subscription: all\nlimits: {endpoints_per_type: 10}", "acme.yaml:16: with subscription: all no endpoint chooses"},
		{"on: [408, 429, 5xx, no_answer]", "on: []", "acme.yaml:25: on names nothing; for no retry write on: none"},
		{"on: [408, 429, 5xx, no_answer]", "on: [408, 410]", "410 does nothing in retry.on"},
		{"on: [408, 429, 5xx, no_answer]", "on: [no_answer]\n  retry_after_max: 24h", "there is no Retry-After to obey"},
		{"waits: [30m, 60m, 120m]", "waits: [30m, 60m]\n  retry_after_max: 30m", "no wait is shorter than 30m0s"},
		{"waits: [30m, 60m, 120m]", "exponential: {first: 1m, factor: 2, cap: 6h, retries: 5}", "acme.yaml:26: no wait reaches the cap of 6h0m0s: the longest is 16m0s"},
		{"waits: [30m, 60m, 120m]", "exponential: {first: 1m, factor: 2, cap: 16m, retries: 5}", "no wait reaches the cap"},
		{"throttle: [429]", "throttle: [429, 410]", "acme.yaml:28: 410 does nothing in throttle"},
		{"unsubscribe: [410], throttle: [429]", "disable: [4xx]", "408 does nothing in retry.on"},
		{"answers: {unsubscribe: [410], throttle: [429]}", "answers: {}", "acme.yaml:28: answers is empty"},
		{"unsubscribe: [410]", "disable: []", "disable is empty"},
		{"timeout: 10s", "timeout: 1h", "at most 5m0s"},
		{"    Content-Type: application/json\n", "", "headers lacks Content-Type"},
		{"User-Agent", "user-agent", "acme.yaml:9: write User-Agent"},
		{"X-Acme-Id:", "X Acme:", "is no header name"},
		{`X-Acme-Id: "{event.id}"`, `X-Acme-Id: "{endpoint.vendor_id}"`, "with ids: own there is no {endpoint.vendor_id}"},
		{"X-Acme-Id:", "Host:", "belongs to the connection"},
		{"X-Acme-Id:", "Proxy-Authorization:", "belongs to the connection"},
		{"X-Acme-Id:", "Idempotency-Key:", "belongs to the connection"},
		{"X-Acme-Id:", "x-acme-time:", "set twice"},
		{"X-Acme-Id:", "X-Acme-Signature:", "acme.yaml:18: the header X-Acme-Signature is set twice"},
		{`X-Acme-Id: "{event.id}"`, `X-Acme-Id: "é"`, "printable ASCII"},
		{`X-Acme-Id: "{event.id}"`, `X-Acme-Id: "a\nb"`, "printable ASCII"},
		{`X-Acme-Id: "{event.id}"`, `X-Acme-Id: " a"`, "begin or end with a space"},
		{`X-Acme-Id: "{event.id}"`, `X-Acme-Id: ""`, "must not be empty"},
		{`X-Acme-Id: "{event.id}"`, `X-Acme-Id: "{event.data}"`, "acme.yaml:10: there is no placeholder {event.data} here"},
		{`X-Acme-Id: "{event.id}"`, `X-Acme-Id: "{event.id"`, "without its partner"},
		{`X-Acme-Id: "{event.id}"`, `X-Acme-Id: "event.id}"`, "without its partner"},
		{`X-Acme-Id: "{event.id}"`, `X-Acme-Id: "{}"`, "no placeholder {}"},
		{`"{event.data}"}`, `"x{event.data}"}`, "must stand alone"},
		{`"{event.data}"}`, `"{attempt.unix}"}`, "acme.yaml:13: there is no placeholder {attempt.unix} here"},
		{"n: 1.50", "n: 0x10", "a value of the JSON body"},
		{"n: 1.50", "n: .inf", "a value of the JSON body"},
		{"n: 1.50", "n: ", "a value of the JSON body"},
		{"    json:", "    xml:", `unknown key "xml" in body`},
		{"thing_deleted:", "\"a b\":", "acme.yaml:14: the event type"},
		{"thing_updated", "\"a\\nb\"", "printable ASCII"},
		{"subscription: one", "subscription: two", "it is one of any, one, all"},
		{"owner: endpoint", "owner: tenant", "always made"},
		{"made: optional", "made: never", "does nothing"},
		{"forms: [text]", "forms: [md5]", "there is no form"},
		{"forms: [text]", "forms: [text, text]", "named twice"},
		{"forms: [text]", "forms: []", "one form or more"},
		{"forms: [text]", "forms: [whsec]", "does nothing"},
		{"bytes: 20", "bytes: 2", "it must be 16 to 256"},
		{"bytes: 20", "bytes: 20.5", "whole number"},
		{"{body}", "x", "over must hold {body}"},
		{"{header.X-Acme-Time}", "{header.X-Other}", "names no header"},
		{"key: text", "key: whsec", "for text it has 0"},
		{"hmac-sha256", "hmac-md5", "algorithm cannot be"},
		{"hmac-sha256", "ed25519", "ed25519 goes with whsk"},
		{"encoding: hex, text", "encoding: base32, text", "encoding cannot be"},
		{"v1={signature}", "v1=", "must hold {signature}"},
		{"v1={signature}", "{signature}{signature}", "{signature} once"},
		{`join: ","`, `join: "a"`, "no signature holds"},
		{"t={attempt.unix},{signatures}", "t={attempt.unix}", "must hold {signatures}"},
		{`success: [200, "202-204"]`, "success: []", "one status or more"},
		{`success: [200, "202-204"]`, "success: 200", "acme.yaml:23: success must be a list"},
		{`success: [200, "202-204"]`, "success: [302]", "from 200 to 299"},
		{`success: [200, "202-204"]`, "success: [200, 2xx]", "200 twice"},
		{`success: [200, "202-204"]`, "success: [6xx]", "no status"},
		{`success: [200, "202-204"]`, "success: [\"204-200\"]", "no status"},
		{"on: [408, 429, 5xx, no_answer]", "on: sometimes", "any, none, or a list"},
		{"on: [408, 429, 5xx, no_answer]", "on: none", "do nothing"},
		{"on: [408, 429, 5xx, no_answer]", "on: [2xx]", "cannot be retried"},
		{"waits: [30m, 60m, 120m]", "waits: []", "one wait or more"},
		{"waits: [30m, 60m, 120m]", "waits: [0s]", "more than 0"},
		{"waits: [30m, 60m, 120m]", "waits: [30m, 24h]", "acme.yaml:26: retry 2 would begin 24h30m0s after the first attempt, past the deadline"},
		{"waits: [30m, 60m, 120m]", "jitter: 0.1", "either waits or exponential"},
		{"waits: [30m, 60m, 120m]", "waits: [1m]\n  exponential: {first: 1m, factor: 2}", "either waits or exponential"},
		{"waits: [30m, 60m, 120m]", "waits: [1m]\n  jitter: 2", "it must be 0 to 1"},
		{"waits: [30m, 60m, 120m]", "exponential: {first: 1m, factor: 0.5}", "it must be 1 to 100"},
		{"waits: [30m, 60m, 120m]", "exponential: {first: 1m, factor: 2, cap: 30s}", "less than the first wait"},
		{"waits: [30m, 60m, 120m]", "exponential: {first: 25h, factor: 2}", "past the deadline"},
		{"waits: [30m, 60m, 120m]", "exponential: {first: 1m, factor: 1}", "use longer waits"},
		{"waits: [30m, 60m, 120m]", "exponential: {first: 1h, factor: 2, retries: 9}", "only 4 retries begin before"},
		{"waits: [30m, 60m, 120m]\n  deadline: 24h", "exponential: {first: 1h, factor: 2}", "has no end"},
		{"waits: [30m, 60m, 120m]\n  deadline: 24h", "exponential: {first: 1h, factor: 2, retries: 99}", "lasts longer"},
		{"unsubscribe: [410]", "unsubscribe: [410], disable: [4xx]", "both disable and unsubscribe"},
		{"unsubscribe: [410]", "unsubscribe: [200]", "from 400 to 599"},
		{"on_inactive: cancel", "on_inactive: drop", "acme.yaml:29: on_inactive cannot be"},
		{"on_inactive: cancel\n", "", `lacks the key "on_inactive"`},
	} {
		src := strings.Replace(base, c.old, c.new, 1)
		if src == base {
			t.Fatalf("%.60q is not in the base file", c.old)
		}
		d, err := dialect.Load("acme.yaml", []byte(src))
		var e *dialect.LoadError
		if d != nil || !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q for %.60q: %v, want %q", c.new, c.old, err, c.want)
		}
	}
}

// The section sign must be there exactly if there is a secret.
func TestLoadSignWithSecret(t *testing.T) {
	t.Parallel()
	from, to := strings.Index(base, "sign:"), strings.Index(base, "success:")
	unsigned := base[:from] + base[to:]
	if _, err := dialect.Load("f", []byte(unsigned)); err == nil || !strings.Contains(err.Error(), "no sign") {
		t.Errorf("a secret without sign: %v", err)
	}
	const secret = "secret: {owner: endpoint, made: optional, forms: [text], new: {bytes: 20, encoding: hex}}"
	never := strings.Replace(unsigned, secret, "secret: {made: never}", 1)
	d, err := dialect.Load("f", []byte(never))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Key("x"); d.SecretOwner() != dialect.SecretNone || err == nil {
		t.Errorf("owner %d, key error %v", d.SecretOwner(), err)
	}
	if _, err := dialect.Load("f", []byte(strings.Replace(base, secret, "secret: {made: never}", 1))); err == nil {
		t.Error("sign without a secret was taken")
	}
}

// FuzzLoadDialect: Load never panics, and what it takes works.
func FuzzLoadDialect(f *testing.F) {
	f.Add(base)
	if standard, err := os.ReadFile("standard/dialect.yaml"); err == nil {
		f.Add(string(standard))
	}
	for _, s := range []string{"", "a", "{", "? a", "a: *b", "a: &b {<<: *b}", "- - - x", "name: |\n  x", "\t", "%YAML 1.2\n---\n", "a: !!binary x", "\xff", "{}: {}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		d, err := dialect.Load("fuzz.yaml", []byte(src))
		if err != nil {
			var e *dialect.LoadError
			if !errors.As(err, &e) || e.Line < 1 || e.Reason == "" {
				t.Fatalf("the error %v is no LoadError with a line", err)
			}
			return
		}
		if !strings.Contains(src, "form") { // whose body is no JSON
			exercise(t, d)
		}
	})
}

// What is of use beside something else stays.
func TestLoadTakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, new string }{
		{"name: acme", "name: 1acme-x.y_z@2022-02-01"},
		{"timeout: 10s", "timeout: 100ms"},
		{"on: [408, 429, 5xx, no_answer]", "on: [4xx]"}, // beside unsubscribe: [410]
		{"throttle: [429]", "throttle: [4xx]"},
		{"subscription: one", "subscription: all\ncatalogue: [thing_updated]"}, // it says what there is
		{"waits: [30m, 60m, 120m]", "waits: [30m, 60m]\n  retry_after_max: 31m"},
		{"waits: [30m, 60m, 120m]", "exponential: {first: 1m, factor: 2, cap: 15m, retries: 5}"},
		{"answers: {unsubscribe: [410], throttle: [429]}\n", ""},
	} {
		if _, err := dialect.Load("acme.yaml", []byte(strings.Replace(base, c.old, c.new, 1))); err != nil {
			t.Errorf("%q: %v", c.new, err)
		}
	}
}
