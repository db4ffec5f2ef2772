package dialecttest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// vector is one entry of testdata/vectors.json, which comes with the
// contracts' requirements.
type vector struct {
	Vendor, Name string
	Secret       *string
	Body         []byte `json:"body_base64"`
	Headers      map[string]string
	Header       string  `json:"expected_header_name"`
	Value        *string `json:"expected_value"` // nil: the header is absent
	HeadersJSON  string  `json:"signed_headers_json"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out []vector
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// The signature vectors of all five contracts: A2-S1, A2-S2, A2-S5, A2-LOST4,
// C1-S2, PS-S1, SM-S1, SM-S2, SP-S1 to SP-S4.
func TestVectorsComeOutToTheByte(t *testing.T) {
	t.Parallel()
	passed := map[string]int{}
	for _, v := range vectors(t) {
		t.Run(v.Vendor+" "+v.Name, func(t *testing.T) {
			without := "-" // nothing
			if v.Vendor == "api2cart" && len(v.Headers) == 0 {
				without = "    X-Webhook-"
			}
			d := room(t, v.Vendor, without)
			defer func() {
				if !t.Failed() {
					passed[v.Vendor]++
				}
			}()
			sent := v.send(t, d)
			got, found := "", false
			for _, h := range sent {
				if h.Name == v.Header { // the case is part of the contract
					got, found = h.Value, true
				}
				if want, listed := v.Headers[h.Name]; listed && h.Value != want && h.Name != "Content-Type" && h.Name != "User-Agent" {
					t.Errorf("%s is %q, want %q", h.Name, h.Value, want)
				}
			}
			switch {
			case v.Value == nil && found:
				t.Errorf("%s is sent, %q; it must be absent", v.Header, got)
			case v.Value != nil && got != *v.Value:
				t.Errorf("%s is %q, want %q", v.Header, got, *v.Value)
			case v.Value != nil:
				v.verify(t, d, sent)
			}
		})
	}
	t.Logf("vectors that come out to the byte: %v", passed)
}

// send makes the headers of the request that the vector is about: what it has
// in its headers comes to us in the event's metadata.
func (v *vector) send(t *testing.T, d *dialect.Dialect) []hook.Header {
	t.Helper()
	r := dialect.Request{Event: &hook.Event{Type: "product.update"}, Endpoint: &hook.Endpoint{}, Body: v.Body, Method: d.Method(), URL: "https://receiver.example/", N: 1}
	metadata := map[string]string{}
	for name, value := range v.Headers {
		switch name {
		case "X-Webhook-Timestamp":
			unix, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			r.At = time.Unix(unix, 0)
		case "X-Webhook-Entity", "X-Webhook-Action":
			r.Event.Type = v.Headers["X-Webhook-Entity"] + "." + v.Headers["X-Webhook-Action"]
		case "X-Webhook-Store-Id":
			metadata["store_id"] = value
		case "X-Webhook-Error-Code":
			metadata["error_code"] = value
		case "X-Webhook-Error-Reason":
			metadata["error_reason"] = value
		case "X-Webhook-Error-Message":
			metadata["error_message"] = value
		case "X-Webhook-Error-Try-Count":
			metadata["try_count"] = value
		case "Content-Type", "User-Agent":
		default:
			r.Extra = append(r.Extra, hook.Header{Name: name, Value: value})
		}
	}
	if metadata["error_reason"]+metadata["error_message"]+metadata["try_count"] != "" || !slices.Contains([]string{"", "0"}, metadata["error_code"]) { // told by an event of ours
		r.Endpoint.EventTypes = []string{r.Event.Type}
		r.Event.Type = "grapnel.connection.lost"
	}
	text, err := json.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	r.Event.Metadata = text
	if v.Secret != nil {
		key, err := d.Key(hook.Secret(*v.Secret))
		if err != nil {
			t.Fatal(err)
		}
		r.Keys = []dialect.Key{key}
	}
	out, err := d.Header(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// verify: our own verifier takes the request, and not after a bit of it has
// changed.
func (v *vector) verify(t *testing.T, d *dialect.Dialect, sent []hook.Header) {
	t.Helper()
	key, err := d.VerifyKey(hook.Secret(*v.Secret))
	if err != nil {
		t.Fatal(err)
	}
	r := dialect.Received{Method: d.Method(), Header: http.Header{}, Body: v.Body, At: time.Unix(1516291592, 0), Tolerance: time.Minute, Keys: []dialect.VerifyKey{key}}
	for _, h := range sent {
		r.Header.Add(h.Name, h.Value)
	}
	if err := d.Verify(r); err != nil {
		t.Errorf("our own verifier: %v", err)
	}
	r.Body = append(bytes.Clone(v.Body), ' ')
	if d.Verify(r) == nil {
		t.Error("our own verifier takes another body")
	}
}

// room is a vendor's dialect without the lines that begin so.
func room(t *testing.T, vendor, begin string) *dialect.Dialect {
	t.Helper()
	file := filepath.Join("..", vendor, "dialect.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, begin) {
			kept = append(kept, line)
		}
	}
	d, err := dialect.Load(file, []byte(strings.Join(kept, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return d
}
