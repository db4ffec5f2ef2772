package interop_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/dialecttest"
	"grapnel/internal/hook"
)

// shaped is a contract that is a file alone, and who verifies what it sends.
type shaped struct {
	file      string
	libraries []string                 // in test/js/vendors.mjs
	rotates   bool                     // several secrets sign at once
	swaps     []swap1                  // what is signed besides the body
	secret    func(text string) string // how a secret is written; nil: as it is
}

// swap1 is a part of the request of which one character is changed.
type swap1 struct{ part, alphabet string }

// timestamp is the beginning of Stripe-Signature: of several signatures, one
// may be changed and the others still fit, but the timestamp is in all.
const timestamp = "t=1700000000"

const (
	digits       = "0123456789"
	hexAlphabet  = "0123456789abcdef"
	base64Middle = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	letters      = "abcdefghijklmnopqrstuvwxyz"

	base64URLMiddle = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

func inBase64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
func inHex(text string) string    { return hex.EncodeToString([]byte(text)) }

var contracts = []shaped{
	{"stripe.yaml", []string{"stripe"}, true, []swap1{{"Stripe-Signature", digits}}, nil},
	{"github.yaml", []string{"github sha256", "github sha1"}, false, []swap1{{"X-Hub-Signature", hexAlphabet}, {"X-Hub-Signature-256", hexAlphabet}}, nil},
	{"shopify.yaml", []string{"shopify"}, false, []swap1{{"X-Shopify-Hmac-Sha256", base64Middle}}, nil},
	{"slack.yaml", []string{"slack"}, false, []swap1{{"X-Slack-Signature", hexAlphabet}, {"X-Slack-Request-Timestamp", digits}}, nil},
	{"twilio-form.yaml", []string{"twilio form"}, false, []swap1{{"X-Twilio-Signature", base64Middle}, {"url", letters}}, nil},
	{"twilio-json.yaml", []string{"twilio json"}, false, []swap1{{"X-Twilio-Signature", base64Middle}, {"url", hexAlphabet}}, nil},
	{"square.yaml", []string{"square"}, false, []swap1{{"x-square-hmacsha256-signature", base64Middle}, {"url", letters}}, nil},
	{"resthooks.yaml", []string{"resthooks"}, false, []swap1{{"X-Hook-Signature", hexAlphabet}}, nil},
	{"rfc9421.yaml", []string{"rfc9421"}, false, []swap1{{"Signature", base64Middle}, {"Signature-Input", digits}, {"Content-Digest", base64Middle}, {"url", letters}}, inBase64},
	{"stamped.yaml", []string{"stamped"}, false, []swap1{{"X-Signature", base64URLMiddle}, {"X-Time", digits}, {"X-Event-Time", digits}, {"X-Signature-Time", base64URLMiddle}}, inHex},
}

// delivery is one request for a library.
type delivery struct {
	Case    string            `json:"case"`
	Library string            `json:"library"`
	Secret  string            `json:"secret"`
	At      int64             `json:"at"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
	want    bool
}

// vendorEvents is how many events each library gets, the large ones among
// them.
const vendorEvents = 40

// Contracts of other vendors, as files without a line of Go: their own
// libraries take what we send, and nothing that was changed.
func TestVendorsLibraries(t *testing.T) {
	t.Parallel()
	node, folder := javascript(t, "stripe")
	var requests []delivery
	for _, c := range contracts {
		requests = append(requests, c.deliveries(t)...)
	}
	run := exec.CommandContext(t.Context(), node, "vendors.mjs")
	run.Dir = folder
	var input, stderr bytes.Buffer
	encode := json.NewEncoder(&input)
	for i := range requests {
		if err := encode.Encode(&requests[i]); err != nil {
			t.Fatal(err)
		}
	}
	run.Stdin, run.Stderr = &input, &stderr
	output, err := run.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.String())
	}
	accepted, refused, wrong := map[string]int{}, map[string]int{}, 0
	results := bufio.NewScanner(bytes.NewReader(output))
	for i, r := range requests {
		var result struct {
			Case, Error string
			OK          bool
		}
		if !results.Scan() {
			t.Fatalf("node gave %d results for %d requests\n%s", i, len(requests), stderr.String())
		}
		if err := json.Unmarshal(results.Bytes(), &result); err != nil || result.Case != r.Case {
			t.Fatalf("result %d is %s (%v), not that of %s", i, results.Bytes(), err, r.Case)
		}
		if result.OK != r.want || result.Error != "" {
			if wrong++; wrong <= 10 {
				t.Errorf("%s: accepted is %v, want %v %s", r.Case, result.OK, r.want, result.Error)
			}
		}
		if result.OK {
			accepted[r.Library]++
		} else {
			refused[r.Library]++
		}
	}
	for _, c := range contracts {
		for _, library := range c.libraries {
			t.Logf("%s: %d accepted, %d changed ones refused", library, accepted[library], refused[library])
			if accepted[library] < vendorEvents || refused[library] < 3*vendorEvents {
				t.Errorf("%s: want %d or more accepted and %d or more refused", library, vendorEvents, 3*vendorEvents)
			}
		}
	}
}

// deliveries signs the corpus, and changes one byte of the body, of the secret
// and of each part that is signed or is a signature.
func (c *shaped) deliveries(t *testing.T) []delivery {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", c.file))
	if err != nil {
		t.Fatal(err)
	}
	d, err := dialect.Load(c.file, text)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 3))
	var out []delivery
	for i, e := range dialecttest.Corpus(seed, vendorEvents) {
		n := 1
		if c.rotates {
			n += i % 3
		}
		secrets := make([]hook.Secret, n)
		for k := range secrets {
			text := fmt.Sprintf("whsec_%d-%d-geheim-ü", i, k)
			if c.secret != nil {
				text = c.secret(text)
			}
			secrets[k] = hook.Secret(text)
		}
		sent := dialecttest.Send(t, d, e, time.Unix(1_700_000_000+rng.Int64N(1e8), 0), 1+i%4, secrets...)
		for k, secret := range secrets {
			for _, library := range c.libraries {
				good := delivery{
					Case: fmt.Sprintf("%s (%s), event %d, secret %d of %d", c.file, library, i, k+1, n), Library: library,
					Secret: string(secret), At: sent.At.Unix(), URL: sent.URL, Headers: map[string]string{}, Body: sent.Body, want: true,
				}
				for _, h := range sent.Header {
					good.Headers[strings.ToLower(h.Name)] = h.Value
				}
				out = append(out, good)
				out = append(out, c.changed(rng, good)...)
			}
			c.verifyOurselves(t, d, sent, secret)
		}
	}
	return out
}

func (c *shaped) changed(rng *rand.Rand, good delivery) []delivery {
	body := good
	body.Case, body.want = good.Case+", body changed", false
	body.Body = bytes.Clone(good.Body)
	// Half of the libraries decode the body: what is no UTF-8 any more would
	// crash them or become the same text.
	at := rng.IntN(len(body.Body))
	for body.Body[at] >= 0x80 {
		at = (at + 1) % len(body.Body)
	}
	for old := body.Body[at]; body.Body[at] == old; {
		body.Body[at] = letters[rng.IntN(len(letters))]
	}
	secret := good
	secret.Case, secret.want, secret.Secret = good.Case+", secret changed", false, good.Secret+"x"
	if c.secret != nil {
		secret.Secret = c.secret("x") + good.Secret
	}
	out := []delivery{body, secret}
	for _, s := range c.swaps {
		name := strings.ToLower(s.part)
		if strings.HasPrefix(good.Library, "github") && !c.reads(good.Library, name) {
			continue
		}
		bad := good
		bad.Case, bad.want, bad.Headers = good.Case+", "+s.part+" changed", false, map[string]string{}
		for name, value := range good.Headers {
			bad.Headers[name] = value
		}
		if s.part == "url" {
			bad.URL = swapped(rng, good.URL, s.alphabet)
		} else {
			bad.Headers[name] = swapped(rng, good.Headers[name], s.alphabet)
		}
		out = append(out, bad)
	}
	return out
}

// reads reports whether a library of GitHub looks at a header.
func (c *shaped) reads(library, header string) bool {
	return strings.HasSuffix(header, "-256") == strings.HasSuffix(library, "sha256")
}

// swapped puts another character into the second half of a text, where its
// signature is, but not at the end of base64, whose last bits may be nothing;
// or at the end of a timestamp, which stays within the tolerance then.
func swapped(rng *rand.Rand, text, alphabet string) string {
	b := []byte(text)
	from, to := len(b)/2, len(b)-2
	if strings.HasSuffix(text, "=:") {
		to--
	}
	switch {
	case strings.HasPrefix(text, "t="):
		from, to = len(timestamp)-1, len(timestamp)
	case strings.Trim(text, digits) == "":
		from, to = len(b)-1, len(b)
	}
	for {
		i := from + rng.IntN(to-from)
		if strings.IndexByte(alphabet, b[i]) < 0 {
			continue
		}
		swap(b, i, rng, alphabet)
		return string(b)
	}
}

// verifyOurselves: our own verifier agrees with the vendors'.
func (c *shaped) verifyOurselves(t *testing.T, d *dialect.Dialect, sent dialecttest.Sent, secret hook.Secret) {
	t.Helper()
	key, err := d.VerifyKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	r := dialect.Received{Method: sent.Method, URL: sent.URL, Header: http.Header{}, Body: sent.Body, At: sent.At, Tolerance: time.Minute, Keys: []dialect.VerifyKey{key}}
	for _, h := range sent.Header {
		r.Header.Add(h.Name, h.Value)
	}
	if err := d.Verify(r); err != nil {
		t.Errorf("%s: our own verifier: %v", c.file, err)
	}
	if r.Body = append(bytes.Clone(sent.Body), '&'); bytes.Contains(sent.Body, []byte("MessageSid")) {
		r.Body = append(r.Body, "x=y"...)
	}
	if d.Verify(r) == nil {
		t.Errorf("%s: our own verifier takes another body", c.file)
	}
}
