package dialect_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// stamped is a dialect that signs the time of the attempt and says it in a header.
func stamped(t *testing.T, placeholder string) *dialect.Dialect {
	t.Helper()
	return signed(t, `X-Webhook-Fixed: "a/b"`, `X-Time: "`+placeholder+`"`, `over: "{body}"`, `over: "`+placeholder+`.{body}"`)
}

// The attempt's time is checked in whichever way the contract writes it.
func TestFreshnessOfEveryTimestamp(t *testing.T) {
	t.Parallel()
	sentAt := time.Date(2026, 3, 1, 12, 0, 0, 123_456_789, time.FixedZone("", 3600))
	for _, c := range []struct{ placeholder, want string }{
		{"{attempt.unix}", "1772362800"},
		{"{attempt.unix_ms}", "1772362800123"},
		{"{attempt.time}", "2026-03-01T11:00:00Z"},
	} {
		d := stamped(t, c.placeholder)
		key, err := d.Key("a secret")
		if err != nil {
			t.Fatal(err)
		}
		verifier, err := d.VerifyKey("a secret")
		if err != nil {
			t.Fatal(err)
		}
		body := []byte(`{"a":1}`)
		headers, err := d.Header(dialect.Request{Event: &hook.Event{Type: "a"}, Method: "POST", Body: body, At: sentAt, N: 1, Keys: []dialect.Key{key}})
		if err != nil {
			t.Fatal(err)
		}
		r := dialect.Received{Method: "POST", Header: http.Header{}, Body: body, Tolerance: 5 * time.Minute, Keys: []dialect.VerifyKey{verifier}}
		for _, h := range headers {
			r.Header.Set(h.Name, h.Value)
		}
		if got := r.Header.Get("X-Time"); got != c.want {
			t.Errorf("%s is %q, want %q", c.placeholder, got, c.want)
		}
		for _, try := range []struct {
			later time.Duration
			stamp string
			flaw  dialect.Flaw
		}{
			{0, c.want, ""},
			{4 * time.Minute, c.want, ""},
			{-4 * time.Minute, c.want, ""},
			{6 * time.Minute, c.want, dialect.TooOld},
			{-6 * time.Minute, c.want, dialect.TooNew},
			{0, c.want[:len(c.want)-2] + "99", dialect.NoMatch},
			{0, "0" + c.want, dialect.MalformedHeader},
			{0, c.want + "0", ""}, // another time, or none: never accepted
			{0, "now", dialect.MalformedHeader},
			{0, "2026-03-01T11:00:00+00:00", dialect.MalformedHeader},
			{0, "2026-03-01t11:00:00Z", dialect.MalformedHeader},
		} {
			r := r
			r.At = sentAt.Add(try.later)
			r.Header = r.Header.Clone()
			r.Header.Set("X-Time", try.stamp)
			err := d.Verify(r)
			if try.stamp == c.want && try.flaw == "" {
				if err != nil {
					t.Errorf("%s, %s later: %v", c.placeholder, try.later, err)
				}
				continue
			}
			var refusal *dialect.Refusal
			if !errors.As(err, &refusal) {
				t.Errorf("%s, %s later, %q: %v", c.placeholder, try.later, try.stamp, err)
				continue
			}
			if c.placeholder == "{attempt.time}" && try.flaw == dialect.NoMatch {
				try.flaw = dialect.MalformedHeader // its end is no digit
			}
			if try.flaw != "" && refusal.Flaw != try.flaw {
				t.Errorf("%s, %s later, %q: %v (%s), want %s", c.placeholder, try.later, try.stamp, err, refusal.Flaw, try.flaw)
			}
		}
		if in := d.Inspect(r); in.Timestamp != c.want || in.StampHeader != "X-Time" || in.StampUnit == "" || !in.Tokens[0].Fits[0] {
			t.Errorf("%s: %+v", c.placeholder, in)
		}
	}
}

// Seconds where milliseconds belong are told from what is old.
func TestSecondsForMilliseconds(t *testing.T) {
	t.Parallel()
	d := stamped(t, "{attempt.unix_ms}")
	verifier, err := d.VerifyKey("a secret")
	if err != nil {
		t.Fatal(err)
	}
	err = d.Verify(dialect.Received{Header: http.Header{"X-Time": {"1772362800"}, "X-Webhook-Signature": {"00"}}, At: time.Unix(1772362800, 0), Tolerance: time.Minute, Keys: []dialect.VerifyKey{verifier}})
	if err == nil || !strings.Contains(err.Error(), "seconds, perhaps") {
		t.Error(err)
	}
}

// A secret in hex or base64 gives the key that it encodes, and a new one is
// made so.
func TestSecretsThatAreEncodings(t *testing.T) {
	t.Parallel()
	text := signed(t)
	want := signatureWith(t, text, "geheim-ü")
	for _, c := range []struct {
		form    string
		good    []string
		bad     []string
		newSize int
	}{
		{"hex", []string{"67656865696d2dc3bc", "67656865696D2DC3BC"}, []string{"67656865696d2dc3b", "geheim", " 67656865696d2dc3bc", "67656865696d2dc3bc\n", ""}, 40},
		{"base64", []string{"Z2VoZWltLcO8"}, []string{"Z2VoZWltLcO8\n", "Z2VoZWltLcO", "Z2Vo ZWltLcO8", "geheim!", "Z2VoZWltLcO-", ""}, 28},
	} {
		d := signed(t, "forms: [text]", "forms: ["+c.form+"], new: {bytes: 20}", "key: text", "key: "+c.form)
		for _, s := range c.good {
			if got := signatureWith(t, d, hook.Secret(s)); got != want {
				t.Errorf("%s: %s signs %s, want %s", c.form, s, got, want)
			}
		}
		for _, s := range c.bad {
			_, err := d.Key(hook.Secret(s))
			var e *hook.Error
			if !errors.As(err, &e) || e.Field != "/secret" || s != "" && strings.Contains(err.Error(), strings.TrimSpace(s)) {
				t.Errorf("%s: %q: %v", c.form, s, err)
			}
		}
		made, err := d.NewSecret()
		if err != nil || len(made) != c.newSize {
			t.Errorf("%s: a new secret has %d characters, want %d (%v)", c.form, len(made), c.newSize, err)
		}
		if _, err := d.Key(made); err != nil {
			t.Error(err)
		}
		derived, err := d.SecretOf(make([]byte, dialect.SeedSize))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Key(derived); err != nil {
			t.Error(err)
		}
		if again, err := d.NewSecretOf(false); err != nil || len(again) != c.newSize {
			t.Error(again, err)
		}
	}
	// Without a size a new key has 32 bytes.
	if made, err := signed(t, "forms: [text]", "forms: [hex]", "key: text", "key: hex").NewSecret(); err != nil || len(made) != 64 {
		t.Error(len(made), err)
	}
}

func signatureWith(t *testing.T, d *dialect.Dialect, s hook.Secret) string {
	t.Helper()
	key, err := d.Key(s)
	if err != nil {
		t.Fatal(err)
	}
	headers, err := d.Header(dialect.Request{Event: &hook.Event{Type: "a"}, Body: []byte("{}"), At: noon, N: 1, Keys: []dialect.Key{key}})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		if h.Name == "X-Webhook-Signature" {
			return h.Value
		}
	}
	return ""
}

func TestLoadRefusesWhatCannotBeKeysOrTimes(t *testing.T) {
	t.Parallel()
	const forms, key, over, fixed = "forms: [text]", "key: text", `over: "{body}"`, `X-Webhook-Fixed: "a/b"`
	for _, c := range []struct {
		want    string
		replace []string
	}{
		{"nothing tells secrets of the forms text and hex apart", []string{forms, "forms: [text, hex]"}},
		{"nothing tells secrets of the forms base64 and hex apart", []string{forms, "forms: [base64, hex]"}},
		{`"encoding" does nothing`, []string{forms, "forms: [hex], new: {bytes: 20, encoding: hex}", key, "key: hex"}},
		{"new lacks the key encoding", []string{forms, "forms: [text], new: {bytes: 20}"}},
		{"there is no form \"base32\"; there are whsec, whsk, text, hex, base64", []string{forms, "forms: [base32]"}},
		{"there is no placeholder {attempt.unix_ms} here", []string{`json: "{event.data}"`, `json: "{attempt.unix_ms}"`}},
		{"does not begin so", []string{over, `over: "{header.X-Webhook-Fixed:b/}.{body}"`}},
		{"join must be a text that no signature holds", []string{over, over + "\n    join: \"-\""}},
		{"success_body must have 1 to 256 bytes", []string{"success: [200]", "success: [200]\nsuccess_body: \"\""}},
	} {
		_, err := dialect.Load("signed.yaml", []byte(signedSource(t, c.replace...)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.want, err)
		}
	}
	for _, replace := range [][]string{
		{forms, "forms: [whsec, base64]", "with: [{key: text, algorithm: hmac-sha256, encoding: hex}]", "with: [{key: whsec, algorithm: hmac-sha256, encoding: hex}, {key: base64, algorithm: hmac-sha256, encoding: base64url}]"},
		{over, `over: "{body.sha256_base64}"`},
		{fixed, `X: "{body.sha256_base64}"`, over, `over: "{header.X}"`},
		{fixed, `X: "d=:{body.sha256_base64}:"`, over, `over: "{header.X:d=}"`},
	} {
		if _, err := dialect.Load("signed.yaml", []byte(signedSource(t, replace...))); err != nil {
			t.Errorf("%q: %v", replace, err)
		}
	}
}

// Where an answer has to say more than its status, one that does not is like no
// answer.
func TestJudgeTheBody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		retry string
		lacks dialect.Result
	}{
		{"{on: any, waits: [5s]}", dialect.Retry},
		{"{on: [no_answer], waits: [5s]}", dialect.Retry},
		{"{on: [5xx], waits: [5s]}", dialect.Failed},
		{"{on: none}", dialect.Failed},
	} {
		d := signed(t, "success: [200]", "success: [200]\nsuccess_body: '\"ok\":true'", "retry: {on: none}", "retry: "+c.retry)
		for body, want := range map[string]dialect.Result{`{"ok":true}`: dialect.Delivered, `{"ok":false}`: c.lacks, "": c.lacks} {
			v := d.Judge(dialect.Answer{Status: 200, Body: []byte(body)})
			if v.Result != want || want != dialect.Delivered && !strings.Contains(v.Reason, "the body does not hold") {
				t.Errorf("%s: the body %q gives %+v, want %v", c.retry, body, v, want)
			}
		}
		if v := d.Judge(dialect.Answer{Status: 500, Body: []byte(`"ok":true`)}); v.Result == dialect.Delivered {
			t.Errorf("%s: a body alone acknowledges: %+v", c.retry, v)
		}
		if facts := d.Describe(); !strings.Contains(factOf(facts, "success"), `with "\"ok\":true" in the body`) {
			t.Errorf("%+v", facts)
		}
	}
}

func factOf(facts []dialect.Fact, about string) string {
	for _, f := range facts {
		if f.About == about {
			return f.Text
		}
	}
	return ""
}
