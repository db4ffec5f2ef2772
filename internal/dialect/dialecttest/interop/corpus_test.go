package interop_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect/dialecttest"
	"grapnel/internal/dialect/standard"
	"grapnel/internal/hook"
)

// seed makes the corpus; change it to try another one.
const seed = 20260301

// events is how many events the corpus has. Each is verified with every secret
// that signed it and refused in four changed forms.
const events = 600

// request is what a receiver gets, and whether its library must take it.
type request struct {
	Case    string            `json:"case"`
	Secret  hook.Secret       `json:"-"`
	At      int64             `json:"at"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
	OK      bool              `json:"-"`
}

// corpus signs all events, each with one to three secrets as during a
// rotation, all of them from make.
func corpus(t *testing.T, newSecret func() hook.Secret) []request {
	t.Helper()
	d, err := standard.Dialect()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	var out []request
	for i, e := range dialecttest.Corpus(seed, events) {
		secrets := make([]hook.Secret, 1+i%3)
		for k := range secrets {
			secrets[k] = newSecret()
		}
		at := time.Unix(1_700_000_000+rng.Int64N(1e9), rng.Int64N(1e9))
		sent := dialecttest.Send(t, d, e, at, 1+rng.IntN(9), secrets...)
		for k, secret := range secrets {
			r := request{Case: fmt.Sprintf("event %d, secret %d of %d", i, k+1, len(secrets)), Secret: secret, At: at.Unix(), Body: sent.Body, OK: true, Headers: map[string]string{}}
			for _, h := range sent.Header {
				r.Headers[h.Name] = h.Value
			}
			out = append(out, r)
		}
		k := rng.IntN(len(secrets))
		out = append(out, changed(rng, out[len(out)-len(secrets)+k], k)...)
	}
	return out
}

// changed makes four requests with one byte changed each: of the body, the id,
// the timestamp, and the signature that secret k made.
func changed(rng *rand.Rand, good request, k int) []request {
	change := func(what, header, value string) request {
		r := good
		r.OK, r.Case = false, good.Case+", "+what+" changed"
		r.Headers = make(map[string]string, len(good.Headers))
		for name, v := range good.Headers {
			r.Headers[name] = v
		}
		if header != "" {
			r.Headers[header] = value
		}
		return r
	}
	body := change("body", "", "")
	body.Body = bytes.Clone(good.Body)
	body.Body[rng.IntN(len(body.Body))] ^= byte(1 + rng.IntN(255))

	id := []byte(good.Headers["webhook-id"])
	swap(id, rng.IntN(len(id)), rng, "0123456789abcdef-")
	timestamp := []byte(good.Headers["webhook-timestamp"])
	swap(timestamp, len(timestamp)-1, rng, "0123456789") // stays within the tolerance
	tokens := strings.Split(good.Headers["webhook-signature"], " ")
	token := []byte(tokens[k])
	at := bytes.IndexByte(token, ',') + 1
	swap(token, at+rng.IntN(len(token)-at), rng, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
	tokens = slices.Clone(tokens)
	tokens[k] = string(token)
	return []request{
		body, change("id", "webhook-id", string(id)), change("timestamp", "webhook-timestamp", string(timestamp)),
		change("signature", "webhook-signature", strings.Join(tokens, " ")),
	}
}

// swap puts another character of the alphabet at place i.
func swap(s []byte, i int, rng *rand.Rand, alphabet string) {
	for old := s[i]; s[i] == old; {
		s[i] = alphabet[rng.IntN(len(alphabet))]
	}
}

// tally counts what a library said and reports each wrong answer.
type tally struct{ accepted, refused, wrong int }

func (n *tally) note(t *testing.T, r *request, err error) {
	t.Helper()
	if (err == nil) != r.OK {
		if n.wrong++; n.wrong <= 5 {
			t.Errorf("seed %d, %s: %v", seed, r.Case, err)
		}
	}
	if err == nil {
		n.accepted++
	} else {
		n.refused++
	}
}

func (n *tally) report(t *testing.T, library string) {
	t.Helper()
	t.Logf("%s, %d events from seed %d: %d accepted, %d changed ones refused, %d wrong", library, events, seed, n.accepted, n.refused, n.wrong)
	if n.accepted < events || n.refused != 4*events {
		t.Errorf("want %d or more accepted and %d refused", events, 4*events)
	}
}
