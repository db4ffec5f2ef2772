package inbox_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"grapnel/internal/hook"
	"grapnel/internal/inbox"
)

var (
	now    = time.Unix(1_700_000_000, 0)
	raw    = []byte("0123456789abcdef0123456789abcdef")
	secret = hook.Secret("whsec_" + base64.StdEncoding.EncodeToString(raw))
)

func clock() time.Time { return now }

func open(t *testing.T, cfg inbox.Config) *inbox.Inbox {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = clock
	}
	b, err := inbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sign(id string, at time.Time, body string) string {
	mac := hmac.New(sha256.New, raw)
	fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func post(h http.Handler, path, id, stamp, signature, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", stamp)
	r.Header.Set("Webhook-Signature", signature)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestVerify(t *testing.T) {
	t.Parallel()
	stamp := fmt.Sprint(now.Unix())
	good := sign("evt_1", now, "{}")
	wrong := "v1," + base64.StdEncoding.EncodeToString(make([]byte, 32))
	cases := []struct{ name, stamp, signature, body, reason string }{
		{"good", stamp, good, "{}", ""},
		{"second of two, as in a rotation", stamp, wrong + " " + good, "{}", ""},
		{"an unknown version before it", stamp, "v9,AAAA " + good, "{}", ""},
		{"another body", stamp, good, "{} ", "no signature fits"},
		{"another key", stamp, wrong, "{}", "no signature fits"},
		{"old", fmt.Sprint(now.Add(-6 * time.Minute).Unix()), sign("evt_1", now.Add(-6*time.Minute), "{}"), "{}", "6m0s away"},
		{"from the future", fmt.Sprint(now.Add(6 * time.Minute).Unix()), sign("evt_1", now.Add(6*time.Minute), "{}"), "{}", "6m0s away"},
		{"milliseconds", fmt.Sprint(now.UnixMilli()), good, "{}", "away"},
		{"no number", "soon", good, "{}", "whole number"},
		{"no version", stamp, "AAAA", "{}", "no version"},
		{"two spaces", stamp, wrong + "  " + good, "{}", "no version"},
		{"missing", stamp, "", "{}", "missing"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, inbox.Config{Secrets: []hook.Secret{secret}})
			post(b, "/", "evt_1", c.stamp, c.signature, c.body)
			r := b.Requests()[0]
			if r.Verified != (c.reason == "") || !strings.Contains(r.Reason, c.reason) || !r.Checked {
				t.Errorf("verified %v, reason %q", r.Verified, r.Reason)
			}
		})
	}
}

// The inbox and a library of others agree.
func TestVerifyLibrary(t *testing.T) {
	t.Parallel()
	lib, err := standardwebhooks.NewWebhook(string(secret))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	for _, body := range []string{"{}", `{"a":"ü€😀"}`, strings.Repeat("x", 1<<20)} {
		signature, err := lib.Sign("evt_1", at, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		b := open(t, inbox.Config{Secrets: []hook.Secret{secret}, Now: func() time.Time { return at }})
		post(b, "/", "evt_1", fmt.Sprint(at.Unix()), signature, body)
		if r := b.Requests()[0]; !r.Verified {
			t.Errorf("%d bytes: %s", len(body), r.Reason)
		}
	}
}

func TestVerifyEd25519(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, inbox.Config{Secrets: []hook.Secret{hook.Secret("whpk_" + base64.StdEncoding.EncodeToString(public))}})
	stamp := fmt.Sprint(now.Unix())
	sig := ed25519.Sign(private, []byte("evt_1."+stamp+".{}"))
	post(b, "/", "evt_1", stamp, "v1a,"+base64.StdEncoding.EncodeToString(sig), "{}")
	sig[0]++
	post(b, "/", "evt_1", stamp, "v1a,"+base64.StdEncoding.EncodeToString(sig), "{}")
	if r := b.Requests(); !r[1].Verified || r[0].Verified {
		t.Errorf("%v, %v", r[1].Verified, r[0].Verified)
	}
}

func TestBadSecrets(t *testing.T) {
	t.Parallel()
	for _, s := range []hook.Secret{"", "abc", "whsec_", "whsec_????", "whsec_AAAA", "whpk_AAAA"} {
		if _, err := inbox.New(inbox.Config{Now: clock, Secrets: []hook.Secret{s}}); err == nil {
			t.Errorf("%q was taken", string(s))
		}
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	random := []float64{.49, .5}
	b := open(t, inbox.Config{
		Reply:  inbox.Reply{Status: 202, FailRate: .5, FailFirst: 1, FailStatus: 503, RetryAfter: 7, Body: "hello"},
		Random: func() float64 { r := random[0]; random = random[1:]; return r },
	})
	for i, want := range []int{503, 503, 202} {
		w := post(b, "/x", "evt_1", "", "", "{}")
		after := w.Header().Get("Retry-After")
		if w.Code != want || w.Body.String() != "hello" || (after == "7") != (want == 503) {
			t.Errorf("answer %d: %d, %q, Retry-After %q", i, w.Code, w.Body, after)
		}
	}
	if r := b.Requests(); len(r) != 3 || r[0].N != 3 || r[0].Status != 202 || r[0].Checked {
		t.Errorf("%+v", r)
	}
	for _, bad := range []inbox.Reply{{Status: 100}, {Status: 600}, {FailRate: 2}, {FailRate: -1}, {DelayMS: -1}, {DelayMS: 1 << 30}, {RetryAfter: -1}, {FailStatus: 7}} {
		if err := b.SetReply(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, inbox.Config{Now: time.Now, Reply: inbox.Reply{DelayMS: 8000}})
		start := time.Now()
		post(b, "/", "evt_1", "", "", "{}")
		if d := time.Since(start); d != 8*time.Second {
			t.Error(d)
		}
	})
}

func TestKeepsTheLast(t *testing.T) {
	t.Parallel()
	var seen int
	b := open(t, inbox.Config{Keep: 2, MaxBody: 4, Observe: func(*inbox.Request) { seen++ }})
	for range 5 {
		post(b, "/", "evt_1", "", "", "{}")
	}
	if r := b.Requests(); len(r) != 2 || r[0].N != 5 || r[1].N != 4 || seen != 5 {
		t.Errorf("%d kept, %d seen", len(r), seen)
	}
	if w := post(b, "/", "evt_1", "", "", "12345"); w.Code != http.StatusRequestEntityTooLarge {
		t.Error(w.Code)
	}
}

func TestReceiver(t *testing.T) {
	t.Parallel()
	h := inbox.NewReceiver(open(t, inbox.Config{Name: "ok"}), open(t, inbox.Config{Name: "slow"})).Handler()
	if w := post(h, inbox.Path("ok"), "evt_1", "", "", `{"a":1}`); w.Code != 200 {
		t.Error(w.Code)
	}
	if w := post(h, inbox.Path("nobody"), "evt_1", "", "", `{}`); w.Code != 404 {
		t.Error(w.Code)
	}
	call := func(method, path, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w
	}
	var list struct{ Data []inbox.Request }
	if err := json.Unmarshal(call("GET", "/_inbox/ok", "").Body.Bytes(), &list); err != nil || len(list.Data) != 1 || list.Data[0].Body != `{"a":1}` {
		t.Errorf("%v: %+v", err, list)
	}
	if w := call("PUT", "/_inbox/ok/reply", `{"status":410}`); w.Code != 200 {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	if w := post(h, inbox.Path("ok"), "evt_1", "", "", `{}`); w.Code != 410 {
		t.Error(w.Code)
	}
	for body, want := range map[string]int{`{"status":7}`: 422, `{"colour":1}`: 400, `{} {}`: 400, ``: 400} {
		if w := call("PUT", "/_inbox/ok/reply", body); w.Code != want {
			t.Errorf("%s: %d, want %d", body, w.Code, want)
		}
	}
	if w := call("GET", "/_inbox/ok/reply", ""); !strings.Contains(w.Body.String(), `"status":410`) {
		t.Error(w.Body)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("evt_1", fmt.Sprint(now.Unix()), sign("evt_1", now, "{}"), "{}")
	f.Add("evt_1", "-1", "v1, v1a,AAAA", "")
	f.Fuzz(func(t *testing.T, id, stamp, signature, body string) {
		b := open(t, inbox.Config{Secrets: []hook.Secret{secret}})
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header = http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {signature}}
		b.ServeHTTP(httptest.NewRecorder(), r)
		got := b.Requests()[0]
		if got.Verified && !strings.Contains(signature, sign(id, time.Unix(now.Unix(), 0), body)) && stamp == fmt.Sprint(now.Unix()) {
			t.Errorf("%q was taken", signature)
		}
	})
}
