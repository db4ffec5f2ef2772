package explain_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
	"grapnel/internal/dialect/dialecttest"
	"grapnel/internal/dialect/explain"
	"grapnel/internal/hook"
)

// textSecret is a secret that can be misread as hex, and gives a text then.
const textSecret = "73746f72655f6b65792d6f662d61637a"

// data is what careless receivers write anew in another way: slashes, letters
// beyond ASCII, digits, an empty object.
const data = `{"id":"86","url":"https://shop.example/a/b","name":"Zoë 😀","price":1.50,"whole":2.0,"html":"<b>&</b>","none":{},"account":{"id":"a1","url":"https://a.example/a1"}}`

// textContracts are the contracts whose secret's text is the key: those that are built
// in, and those of other vendors' shapes.
func textContracts(t *testing.T) map[string]*dialect.Dialect {
	t.Helper()
	registry, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*dialect.Dialect{}
	for _, name := range registry.Names() {
		if d, _ := registry.Get(name); len(d.SecretBeginnings()) == 0 {
			out[name] = d
		}
	}
	files, err := filepath.Glob(filepath.Join("..", "dialecttest", "interop", "testdata", "*.yaml"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := dialect.Load(file, text)
		if err != nil {
			t.Fatal(err)
		}
		if d.SecretEncoding() == "" {
			out[d.Name()] = d
		}
	}
	return out
}

// wire is a request of a contract on its way to the receiver.
type wire struct {
	t      *testing.T
	d      *dialect.Dialect
	url    string
	header http.Header
	body   []byte
	secret string
}

// send makes a request that is signed with a key.
func send(t *testing.T, d *dialect.Dialect, key string) *wire {
	t.Helper()
	e := dialecttest.Event(1, "product.add", data)
	e.Time = noon
	sent := dialecttest.Send(t, d, e, noon, 1, hook.Secret(key))
	w := &wire{t: t, d: d, url: sent.URL, header: http.Header{}, body: sent.Body, secret: textSecret}
	for _, h := range sent.Header {
		w.header[h.Name] = []string{h.Value}
	}
	return w
}

// signatures are the names of the signature headers.
func (w *wire) signatures() []string {
	var out []string
	for _, h := range w.d.Inspect(dialect.Received{Header: http.Header{}}).Headers {
		if h.Holds == "signatures" {
			out = append(out, h.Name)
		}
	}
	return out
}

// resign changes the text of each signature.
func (w *wire) resign(change func(text string) string) {
	r := dialect.Received{URL: w.url, Header: w.header, Body: w.body}
	for _, token := range w.d.Inspect(r).Tokens {
		value := w.header[token.Header][0]
		w.header[token.Header] = []string{strings.Replace(value, token.Text, change(token.Text), 1)}
	}
}

func (w *wire) isJSON() bool {
	return strings.HasPrefix(w.header["Content-Type"][0], "application/json")
}

// raw is a signature's bytes, whatever its prefix and encoding.
func raw(t *testing.T, text string) (prefix string, b []byte, hexed bool) {
	t.Helper()
	rest := text
	if i := strings.IndexByte(text, '='); i > 0 && i < 8 {
		prefix, rest = text[:i+1], text[i+1:]
	}
	if b, err := hex.DecodeString(rest); err == nil {
		return prefix, b, true
	}
	b, err := base64.StdEncoding.DecodeString(rest)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return prefix, b, false
}

// The mistakes that are possible with every contract whose secret is a text.
func TestMistakesWithEveryContract(t *testing.T) {
	t.Parallel()
	decoded, err := hex.DecodeString(textSecret)
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range textContracts(t) {
		for _, c := range []struct {
			name   string
			key    string // that signed; "" for textSecret
			change func(w *wire) bool
			want   []explain.Kind
		}{
			{"the key decoded from hex", string(decoded), nil, []explain.Kind{explain.SecretHex}},
			{"a line break behind the secret", textSecret + "\n", nil, []explain.Kind{explain.SecretLineBreak}},
			{"white space around the secret that was given", "", func(w *wire) bool { w.secret = " " + textSecret + "\n"; return true }, []explain.Kind{explain.SecretLineBreak}},
			{"quotes around the secret that was given", "", func(w *wire) bool { w.secret = `"` + textSecret + `"`; return true }, []explain.Kind{explain.SecretQuotes}},
			{"another secret", "another", nil, nil},
			{"another body", "", func(w *wire) bool { w.body = []byte(`{"id":"87"}`); return true }, nil},
			{"a line break behind the body", "", func(w *wire) bool { w.body = append(w.body, '\n'); return w.isJSON() }, []explain.Kind{explain.NewlineAdded}},
			{"the body lost", "", func(w *wire) bool { w.body = nil; return true }, []explain.Kind{explain.EmptyBody}},
			{"an indented body", "", func(w *wire) bool {
				var b bytes.Buffer
				if json.Indent(&b, w.body, "", "    ") != nil {
					return false
				}
				w.body = b.Bytes()
				return true
			}, []explain.Kind{explain.JSONCompact}},
			{"slashes escaped", "", func(w *wire) bool {
				w.body = bytes.ReplaceAll(w.body, []byte("/"), []byte(`\/`))
				return w.isJSON() && !bytes.Contains(w.body, []byte(`\\/`))
			}, []explain.Kind{explain.JSONEscapes}},
			{"HTML escaped, as Go does", "", func(w *wire) bool {
				w.body = []byte(html.Replace(string(w.body)))
				return w.isJSON() && bytes.Contains(w.body, []byte(`\u003c`))
			}, []explain.Kind{explain.JSONEscapes}},
			{"zeros lost, as in JavaScript", "", func(w *wire) bool {
				w.body = []byte(strings.NewReplacer("1.50", "1.5", "2.0,", "2,").Replace(string(w.body)))
				return w.isJSON() && bytes.Contains(w.body, []byte(`"price":1.5,"whole":2,`))
			}, []explain.Kind{explain.JSONNumbers}},
			{"an empty object became a list, as in PHP", "", func(w *wire) bool {
				w.body = bytes.Replace(w.body, []byte(`"none":{}`), []byte(`"none":[]`), 1)
				return bytes.Contains(w.body, []byte(`"none":[]`))
			}, []explain.Kind{explain.JSONEmpty}},
			{"a signature header missing", "", func(w *wire) bool { w.header.Del(w.signatures()[0]); delete(w.header, w.signatures()[0]); return true }, []explain.Kind{explain.MissingHeader}},
			{"a signature header under the name that CGI gives it", "", func(w *wire) bool {
				name := w.signatures()[0]
				w.header["HTTP_"+strings.ReplaceAll(strings.ToUpper(name), "-", "_")] = w.header[name]
				delete(w.header, name)
				return true
			}, []explain.Kind{explain.HeaderName}},
			{"the signature in another encoding", "", func(w *wire) bool {
				w.resign(func(text string) string {
					prefix, b, hexed := raw(t, text)
					if hexed {
						return prefix + base64.StdEncoding.EncodeToString(b)
					}
					return prefix + hex.EncodeToString(b)
				})
				return true
			}, []explain.Kind{explain.SignatureEncoding}},
			{"base64 of the text in hex", "", func(w *wire) bool {
				w.resign(func(text string) string {
					prefix, b, _ := raw(t, text)
					return prefix + base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(b)))
				})
				return true
			}, []explain.Kind{explain.SignatureEncoding}},
			{"the prefix of the signature lost", "", func(w *wire) bool {
				had := false
				w.resign(func(text string) string {
					prefix, _, _ := raw(t, text)
					had = prefix != ""
					return strings.TrimPrefix(text, prefix)
				})
				return had
			}, []explain.Kind{explain.SignatureEncoding}},
			{"another prefix of the signature", "", func(w *wire) bool {
				w.resign(func(text string) string {
					prefix, _, _ := raw(t, text)
					return "sha512=" + strings.TrimPrefix(text, prefix)
				})
				return true
			}, []explain.Kind{explain.SignatureEncoding}},
		} {
			key := c.key
			if key == "" {
				key = textSecret
			}
			w := send(t, d, key)
			if c.change != nil && !c.change(w) {
				continue // the contract's requests cannot have the mistake
			}
			report := w.explain()
			var got []explain.Kind
			for _, m := range report.Mistakes {
				got = append(got, m.Mistake)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s, %s: found %v, want %v; %s", name, c.name, got, c.want, report.Summary)
			}
			if report.Valid {
				t.Errorf("%s, %s: it counts as valid", name, c.name)
			}
			if c.want == nil && !strings.Contains(report.Advice, "no known mistake") {
				t.Errorf("%s, %s: it advises: %s", name, c.name, report.Advice)
			}
			hidesSecrets(t, report, []string{textSecret})
		}
		if report := send(t, d, textSecret).explain(); !report.Valid || len(report.Mistakes) > 0 {
			t.Errorf("%s: a request that is right: %+v", name, report)
		}
	}
}

func (w *wire) explain() *explain.Report {
	return explain.Explain(explain.Input{
		Dialect: w.d, Method: "POST", URL: w.url, Header: w.header, Body: w.body, At: noon.Add(time.Minute), Tolerance: 5 * time.Minute,
		Secrets: []explain.Secret{{Name: "secret 1", Value: hook.Secret(w.secret)}},
	})
}

// As PHP writes it anew: escapes, digits and the empty object at once.
func TestBodyWrittenAnewByPHP(t *testing.T) {
	t.Parallel()
	w := send(t, textContracts(t)["customers1st@bare"], textSecret)
	w.body = []byte(strings.NewReplacer("ë", `\u00eb`, "😀", `\ud83d\ude00`, "/", `\/`, "1.50", "1.5").Replace(string(w.body)))
	w.body = bytes.Replace(w.body, []byte("1.5"), []byte("1.50"), 1)
	if report := w.explain(); !report.Has(explain.JSONEscapes) || len(report.Mistakes) != 1 {
		t.Errorf("escapes alone: %+v", report)
	}
	w.body = bytes.Replace(w.body, []byte(`{}`), []byte(`[]`), 1)
	if report := w.explain(); !report.Has(explain.JSONEscapes) || !report.Has(explain.JSONEmpty) {
		t.Errorf("escapes and the empty object: %+v", report)
	}
}

// The mistakes that API2Cart's receivers make: it signs all headers that begin
// with X-Webhook- (A2-S1, A2-S4).
func TestMistakesWithSignedHeaders(t *testing.T) {
	t.Parallel()
	d := textContracts(t)["api2cart"]
	for _, c := range []struct {
		name   string
		change func(h http.Header)
		want   explain.Kind
		says   string
		valid  bool
	}{
		{"a header that a proxy added", func(h http.Header) { h["X-Webhook-Proxy"] = []string{"1"} }, explain.HeaderAdded, "X-Webhook-Proxy", false},
		{"two headers that a proxy added", func(h http.Header) { h["X-Webhook-A"], h["X-Webhook-B"] = []string{"1"}, []string{"2"} }, explain.HeaderAdded, "X-Webhook-A, X-Webhook-B", false},
		{"a header missing whose value is known", func(h http.Header) { delete(h, "X-Webhook-Error-Code") }, explain.MissingHeader, "X-Webhook-Error-Code is missing", false},
		{"a header missing that the catalogue tells", func(h http.Header) { delete(h, "X-Webhook-Entity") }, explain.MissingHeader, "X-Webhook-Entity is missing", false},
		{"two headers missing", func(h http.Header) { delete(h, "X-Webhook-Error-Code"); delete(h, "X-Webhook-Store-Id") }, explain.MissingHeader, "is missing", false},
		{"a header missing that nobody can guess", func(h http.Header) { delete(h, "X-Webhook-Timestamp") }, explain.MissingHeader, "X-Webhook-Timestamp is missing", false},
		{"names in lower case", func(h http.Header) {
			for name, values := range h {
				delete(h, name)
				h[strings.ToLower(name)] = values
			}
		}, explain.HeaderCase, "x-webhook-action instead of X-Webhook-Action", true},
		{"a header twice", func(h http.Header) { h["X-Webhook-Entity"] = []string{"product", "product"} }, explain.HeaderRepeated, "2 times", false},
	} {
		w := send(t, d, textSecret)
		c.change(w.header)
		report := w.explain()
		if !report.Has(c.want) || report.Valid != c.valid || !strings.Contains(report.Summary, c.says) {
			t.Errorf("%s: %v %v, valid %v: %s", c.name, report.Mistakes, c.want, report.Valid, report.Summary)
		}
		for _, m := range report.Mistakes {
			if m.Mistake != c.want {
				t.Errorf("%s: found %s as well", c.name, m.Mistake)
			}
		}
	}
	t.Run("a value read as Latin-1", func(t *testing.T) {
		w := send(t, d, textSecret)
		e := dialecttest.Event(1, "product.add", data)
		e.Metadata = []byte(`{"store_id":"Магазин"}`)
		for _, h := range dialecttest.Send(t, d, e, noon, 1, textSecret).Header {
			w.header[h.Name] = []string{h.Value}
		}
		if report := w.explain(); !report.Valid {
			t.Fatalf("%+v", report)
		}
		var wrong []rune
		for _, b := range []byte("Магазин") {
			wrong = append(wrong, rune(b))
		}
		w.header["X-Webhook-Store-Id"] = []string{string(wrong)}
		if report := w.explain(); report.Valid || !report.Has(explain.Charset) {
			t.Errorf("%+v", report)
		}
	})
}

// The URL is part of what Square and Twilio sign.
func TestMistakesWithTheURL(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"square-shaped", "twilio-shaped"} {
		for _, change := range []func(string) string{
			func(u string) string { return strings.Replace(u, "https:", "http:", 1) },
			func(u string) string { return strings.Replace(u, ".example/", ".example:443/", 1) },
			func(u string) string {
				return strings.Replace(u, "https://receiver.example/", "http://receiver.example:80/", 1)
			},
			func(u string) string { return strings.Replace(u, "/hooks", "/hooks/", 1) },
			func(u string) string { return strings.Replace(u, "//", "//www.", 1) },
		} {
			w := send(t, textContracts(t)[name], textSecret)
			right := w.url
			if w.url = change(right); w.url == right {
				t.Fatalf("%s is not changed", right)
			}
			if report := w.explain(); !report.Has(explain.URLChanged) || len(report.Mistakes) != 1 || !strings.Contains(report.Summary, right) {
				t.Errorf("%s, %s: %+v", name, w.url, report)
			}
		}
	}
}

// A signature with another hash than the contract's is told from one with
// another secret.
func TestWrongHash(t *testing.T) {
	t.Parallel()
	for name, from := range map[string][2]string{
		"smake": {"hmac-sha1", "hmac-sha256"}, "propstack": {"hmac-sha256", "hmac-sha1"}, "customers1st": {"hmac-sha256", "hmac-sha512"}, "slack-shaped": {"hmac-sha256", "hmac-sha1"},
	} {
		d := textContracts(t)[name]
		other := d.OtherHashes()[from[1]]
		key, err := other.Key(textSecret)
		if err != nil {
			t.Fatal(err)
		}
		w := send(t, d, textSecret)
		headers, err := other.Header(dialect.Request{Event: &hook.Event{Type: "product.add"}, Body: w.body, At: noon, N: 1, Keys: []dialect.Key{key}})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range headers {
			w.header[h.Name] = []string{h.Value}
		}
		report := w.explain()
		if !report.Has(explain.WrongHash) || len(report.Mistakes) != 1 || !strings.Contains(report.Summary, from[1]+", the contract wants "+from[0]) {
			t.Errorf("%s: %+v", name, report)
		}
	}
}
