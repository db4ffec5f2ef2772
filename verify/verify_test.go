package verify_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"grapnel/verify"
)

const (
	secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	other  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	id     = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
)

var (
	now     = time.Unix(1674087231, 0)
	body    = []byte(`{"type":"contact.created","data":{"name":"Zoë 😀"}}`)
	private = ed25519.NewKeyFromSeed([]byte("an ed25519 seed of just 32 bytes"))
)

func public() string {
	return "whpk_" + base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
}

// signV1 signs with the library of the Standard Webhooks project.
func signV1(t testing.TB, secret string) string {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := w.Sign(id, now, body)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func signV1a() string {
	sig := ed25519.Sign(private, fmt.Appendf(nil, "%s.%d.%s", id, now.Unix(), body))
	return "v1a," + base64.StdEncoding.EncodeToString(sig)
}

func headerWith(signature string) http.Header {
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	h.Set("webhook-signature", signature)
	return h
}

func newVerifier(t testing.TB, secrets ...string) *verify.Verifier {
	t.Helper()
	v, err := verify.New(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAccepts(t *testing.T) {
	t.Parallel()
	v1, old, v1a := signV1(t, secret), signV1(t, other), signV1a()
	for _, c := range []struct {
		name      string
		secrets   []string
		signature string
	}{
		{"v1", []string{secret}, v1},
		{"v1a", []string{public()}, v1a},
		{"v1a by its private key", []string{"whsk_" + base64.StdEncoding.EncodeToString(private)}, v1a},
		{"the second of two signatures", []string{secret}, old + " " + v1},
		{"the second of two secrets", []string{other, secret}, v1},
		{"either kind of secret", []string{public(), secret}, v1},
		{"both kinds of signature", []string{secret}, v1a + " " + v1},
		{"a version to come", []string{secret}, "v2,whatever " + v1},
		{"stray tokens", []string{secret}, "  x " + v1 + " v1 , "},
	} {
		v := newVerifier(t, c.secrets...)
		if err := v.Verify(headerWith(c.signature), body, now); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, off := range []time.Duration{-verify.Tolerance, verify.Tolerance} {
			if err := v.Verify(headerWith(c.signature), body, now.Add(off)); err != nil {
				t.Errorf("%s, clock %s off: %v", c.name, off, err)
			}
		}
		lower := http.Header{}
		for name, values := range headerWith(c.signature) {
			lower[strings.ToLower(name)] = values
		}
		if err := v.Verify(lower, body, now); err != nil {
			t.Errorf("%s, header names in lower case: %v", c.name, err)
		}
	}
}

// case 110
func TestRefuses(t *testing.T) {
	t.Parallel()
	v1 := signV1(t, secret)
	v := newVerifier(t, secret)
	for _, c := range []struct {
		name   string
		change func(http.Header)
		reason verify.Reason
		says   string
	}{
		{"no id", func(h http.Header) { h.Del("webhook-id") }, verify.MissingHeader, "webhook-id is missing"},
		{"no timestamp", func(h http.Header) { h.Del("webhook-timestamp") }, verify.MissingHeader, "webhook-timestamp is missing"},
		{"no signature", func(h http.Header) { h.Del("webhook-signature") }, verify.MissingHeader, "webhook-signature is missing"},
		{"an empty id", func(h http.Header) { h.Set("webhook-id", "") }, verify.MissingHeader, "webhook-id"},
		{"nothing in a header", func(h http.Header) { h["Webhook-Id"] = nil }, verify.MissingHeader, "webhook-id"},
		{"two ids", func(h http.Header) { h.Add("webhook-id", id) }, verify.MalformedHeader, "came 2 times"},
		{"two ids in two cases", func(h http.Header) { h["webhook-id"] = []string{id} }, verify.MalformedHeader, "came 2 times"},
		{"two empty ids", func(h http.Header) { h["Webhook-Id"] = []string{"", ""} }, verify.MalformedHeader, "came 2 times"},
		{"an id with a dot", func(h http.Header) { h.Set("webhook-id", "a.b") }, verify.MalformedHeader, "must not hold"},
		{"another id", func(h http.Header) { h.Set("webhook-id", id+"x") }, verify.NoMatch, "another endpoint's"},
		{"a later timestamp", func(h http.Header) { h.Set("webhook-timestamp", "1674087232") }, verify.NoMatch, "byte for byte"},
		{"a timestamp in words", func(h http.Header) { h.Set("webhook-timestamp", "now") }, verify.MalformedHeader, "whole Unix seconds"},
		{"a timestamp with a sign", func(h http.Header) { h.Set("webhook-timestamp", "+1674087231") }, verify.MalformedHeader, "whole Unix seconds"},
		{"a timestamp with zeros", func(h http.Header) { h.Set("webhook-timestamp", "01674087231") }, verify.MalformedHeader, "whole Unix seconds"},
		{"a fraction", func(h http.Header) { h.Set("webhook-timestamp", "1674087231.0") }, verify.MalformedHeader, "whole Unix seconds"},
		{"milliseconds", func(h http.Header) { h.Set("webhook-timestamp", "1674087231000") }, verify.MalformedHeader, "milliseconds"},
		{"a negative timestamp", func(h http.Header) { h.Set("webhook-timestamp", "-5") }, verify.MalformedHeader, "Unix seconds"},
		{"the last timestamp", func(h http.Header) { h.Set("webhook-timestamp", "9223372036854775807") }, "", ""},
		{"the first timestamp", func(h http.Header) { h.Set("webhook-timestamp", "-9223372036854775808") }, "", ""},
		{"another secret's signature", func(h http.Header) { h.Set("webhook-signature", signV1(t, other)) }, verify.NoMatch, "another endpoint's"},
		{"only v1a", func(h http.Header) { h.Set("webhook-signature", signV1a()) }, verify.NoMatch, "v1,<base64 of hmac-sha256>"},
		{"no version", func(h http.Header) { h.Set("webhook-signature", v1[3:]) }, verify.NoMatch, "no signature of the kind"},
		{"the wrong version", func(h http.Header) { h.Set("webhook-signature", "v1a"+v1[2:]) }, verify.NoMatch, "no signature of the kind"},
		{"an empty signature", func(h http.Header) { h.Set("webhook-signature", "v1,") }, verify.NoMatch, "no signature of the kind"},
		{"a short signature", func(h http.Header) { h.Set("webhook-signature", "v1,AAAA") }, verify.NoMatch, "fits"},
		{"comma instead of space", func(h http.Header) { h.Set("webhook-signature", v1+","+v1) }, verify.NoMatch, "no signature of the kind"},
		{"base64 without padding", func(h http.Header) { h.Set("webhook-signature", strings.TrimRight(v1, "=")) }, verify.NoMatch, "no signature of the kind"},
		{"thousands of signatures", func(h http.Header) { h.Set("webhook-signature", strings.Repeat("v1,AAAA ", 9999)+v1) }, verify.MalformedHeader, "at most"},
	} {
		h := headerWith(v1)
		c.change(h)
		err := v.Verify(h, body, now)
		var e *verify.Error
		if !errors.As(err, &e) || c.reason != "" && !errors.Is(err, c.reason) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && strings.Contains(err.Error(), secret[10:20]) {
			t.Errorf("%s: the error shows the secret", c.name)
		}
	}
	for _, c := range []struct {
		off    time.Duration
		reason verify.Reason
	}{{verify.Tolerance + time.Second, verify.TooOld}, {-verify.Tolerance - time.Second, verify.TooNew}} {
		if err := v.Verify(headerWith(v1), body, now.Add(c.off)); !errors.Is(err, c.reason) {
			t.Errorf("clock %s off: %v, want %s", c.off, err, c.reason)
		}
	}
	if err := v.Verify(headerWith(v1), append(slices.Clone(body), '\n'), now); !errors.Is(err, verify.NoMatch) {
		t.Errorf("a line end more: %v", err)
	}
	if err := v.Verify(nil, nil, time.Time{}); !errors.Is(err, verify.MissingHeader) {
		t.Errorf("nothing: %v", err)
	}
}

// The dot in an id would let one signature stand for two requests (SW-2).
func TestDotInIDIsNoSecondMeaning(t *testing.T) {
	t.Parallel()
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := w.Sign("a", now, fmt.Appendf(nil, "%d.5", now.Unix()))
	if err != nil {
		t.Fatal(err)
	}
	h := headerWith(sig)
	h.Set("webhook-id", fmt.Sprintf("a.%d", now.Unix()))
	if err := newVerifier(t, secret).Verify(h, []byte("5"), now); !errors.Is(err, verify.MalformedHeader) {
		t.Errorf("the request was cut in another place: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		secrets []string
		says    string
	}{
		{nil, "one secret or more"},
		{[]string{secret, ""}, "secret 2 of 2: the secret is empty"},
		{[]string{"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}, "begins with whsec_"},
		{[]string{secret + "\n"}, "white space"},
		{[]string{"whpk_AAAA"}, "public key has 32"},
	} {
		if _, err := verify.New(c.secrets...); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "MDEy") {
			t.Errorf("%q: %v", c.secrets, err)
		}
	}
}

// FuzzVerifyHeader (case 110): nothing panics, and what is accepted is exactly what
// the sender would have written, and what the reference library accepts.
func FuzzVerifyHeader(f *testing.F) {
	v1, v1a := signV1(f, secret), signV1a()
	for _, sig := range []string{v1, v1a, v1 + " " + v1a, "", " ", ",", "v1", "v1,", "v1, " + v1[3:], v1 + "=", v1[:len(v1)-1], "v1,\n" + v1[3:], strings.ToUpper(v1), "v1,\x00", "v1a,AAAA"} {
		f.Add(id, "1674087231", sig, body)
	}
	for _, ts := range []string{"", "0", "-1", "+1674087231", " 1674087231", "1674087231.", "1e9", "9223372036854775807", "-9223372036854775808", "99999999999999999999", "١"} {
		f.Add(id, ts, v1, body)
	}
	f.Add("a.b", "1674087231", v1, body)
	v := newVerifier(f, secret, public())
	reference, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}
		if err := v.Verify(h, body, now); err != nil {
			var e *verify.Error
			if !errors.As(err, &e) || e.Message == "" || e.Reason == "" {
				t.Fatalf("the error %v explains nothing", err)
			}
			return
		}
		unix, err := strconv.ParseInt(timestamp, 10, 64)
		if err != nil || strconv.FormatInt(unix, 10) != timestamp || strings.Contains(id, ".") {
			t.Fatalf("accepted the id %q and the timestamp %q", id, timestamp)
		}
		want, err := reference.Sign(id, time.Unix(unix, 0), body)
		if err != nil {
			t.Fatal(err)
		}
		sig := ed25519.Sign(private, fmt.Appendf(nil, "%s.%d.%s", id, unix, body))
		wantA := "v1a," + base64.StdEncoding.EncodeToString(sig)
		tokens := strings.Split(signature, " ")
		if !slices.Contains(tokens, want) && !slices.Contains(tokens, wantA) {
			t.Fatalf("accepted %q, which holds neither %s nor %s", signature, want, wantA)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	v, h := newVerifier(b, secret), headerWith(signV1(b, secret))
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Verify(h, body, now); err != nil {
			b.Fatal(err)
		}
	}
}
