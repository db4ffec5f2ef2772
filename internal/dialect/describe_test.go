package dialect_test

import (
	"strings"
	"testing"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
)

// What a contract is, in words: statuses, retries and signatures as its file
// has them.
func TestDescribe(t *testing.T) {
	t.Parallel()
	registry, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"standard":     {"success: 2xx", "retries: anything else: up to 9 times, after 5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 1d", "answers: 410: the endpoint is disabled", "inactive endpoint: what waits is held", "over {event.id}.{attempt.unix}.{body}"},
		"customers1st": {"retries: 408, 429, 5xx and no answer: up to 3 times, after 30m, 1h, 2h", "answers: 410: the endpoint is removed", "secret: one of the tenant", "signature: X-C1st-Webhook-Signature: the base64 of hmac-sha256 with the secret, over {body}", "more"},
		"propstack":    {"subscription: one event type", "secret: one of each endpoint, unsigned without", "ids: endpoints have numbers"},
		"smake":        {"as sha1={signature}", "none later than 1d after", "limits: 10 endpoints", "up to 10 times, after 1m, 2m, 4m, 8m"},
		"sixpark":      {"HTTP/1.1", "subscription: all event types", "success: 200", "UUIDs"},
		"api2cart":     {"anything else: once more, 5s after the first attempt", "over {headers_php_json:X-Webhook-}{body}", "choose fields"},
	} {
		d, ok := registry.Get(name)
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		var lines []string
		for _, f := range d.Describe() {
			lines = append(lines, f.About+": "+f.Text)
		}
		text := strings.Join(lines, "\n")
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s does not say %q:\n%s", name, w, text)
			}
		}
		if d2, err := dialect.Load("again", []byte(d.Source())); err != nil || d2.Name() != name {
			t.Errorf("%s: its source does not load: %v", name, err)
		}
	}
}
