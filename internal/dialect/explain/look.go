package explain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// guess is a part of the request as it may have been when it was signed, with
// the mistakes that lie between.
type guess struct {
	kinds  []Kind
	alone  bool   // it is not tried together with others
	detail string // what happened, for the last of kinds
	header http.Header
	url    string // "" for the one that came
	body   []byte
	key    dialect.VerifyKey
	secret int // its number in Input.Secrets
}

// found is a combination of guesses under which a signature fits.
type found struct {
	header, body, key guess
	token             dialect.TokenSeen
	hash              string // the wrong one; "" for the contract's
}

func (f *found) cost() int { return len(f.header.kinds) + len(f.body.kinds) + len(f.key.kinds) }

// look searches for mistakes.
func (w *work) look() {
	w.repair()
	w.lookAtTime()
	missing := w.lookForMissing()
	w.lookAtCase()
	best := w.search(w.in.Dialect, w.keyGuesses(w.in.Dialect))
	if best == nil {
		best = w.searchOtherHashes()
	}
	if best == nil {
		if len(w.in.Body) == 0 && len(w.seen.Tokens) > 0 {
			w.mistake(EmptyBody, "the body is empty")
		}
		if len(w.report.Mistakes) > 0 && !missing && len(w.keys) > 0 && !w.report.Valid {
			w.refusal = "no signature fits"
		}
		return
	}
	for _, g := range []guess{best.header, best.body, best.key} {
		for _, k := range g.kinds {
			w.mistake(k, g.detail)
		}
	}
	if best.hash != "" {
		w.mistake(WrongHash, "the signature was made with "+best.hash+", the contract wants "+w.in.Dialect.Algorithms())
	}
	if best.token.Miswritten != "" {
		w.mistake(SignatureEncoding, "signature "+strconv.Itoa(best.token.Number)+" in "+best.token.Header+" is miswritten: "+best.token.Miswritten)
	}
	if best.key.secret > 0 {
		w.mistake(OldSecret, fmt.Sprintf("it was signed with %s, not with the first secret given, %s", w.in.Secrets[best.key.secret].Name, w.in.Secrets[0].Name))
	}
}

// repair undoes mistakes about the headers' form, which hide everything else.
func (w *work) repair() {
	changed := false
	for _, h := range w.seen.Headers {
		values := h.Values
		if len(values) == 0 {
			name, value := w.alias(h.Name)
			if name == "" {
				continue
			}
			w.mistake(HeaderName, "what should be in "+h.Name+" came as "+hook.Clip(name))
			values = []string{value}
		}
		if len(values) > 1 && allEqual(values) {
			w.mistake(HeaderRepeated, fmt.Sprintf("the header %s came %d times with one value", h.Name, len(values)))
			values = values[:1]
		}
		if len(values) != 1 {
			continue
		}
		if plain, listed := unlist(values[0]); listed {
			w.mistake(HeaderArray, "the value of "+h.Name+" is written as a list or in quotes")
			values = []string{plain}
		}
		if len(h.Values) != 1 || h.Values[0] != values[0] {
			w.received.Header = dialect.SetHeader(w.received.Header, h.Name, values[0])
			changed = true
		}
	}
	if changed {
		w.seen = w.in.Dialect.Inspect(w.received)
		w.stamp = readStamp(w.seen.Timestamp)
	}
}

func allEqual(values []string) bool {
	for _, v := range values {
		if v != values[0] {
			return false
		}
	}
	return true
}

// alias finds a header under a name that servers and other senders give it.
func (w *work) alias(name string) (alias, value string) {
	want := plainName(name)
	for key, values := range w.received.Header {
		if len(values) == 1 && values[0] != "" && plainName(key) == want && (alias == "" || key < alias) {
			alias, value = key, values[0]
		}
	}
	return alias, value
}

// plainName is a header's name without what servers and brands add to it.
func plainName(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	for _, prefix := range []string{"http-", "x-", "svix-", "webhook-"} {
		name = strings.TrimPrefix(name, prefix)
	}
	return name
}

// unlist takes a value out of ["…"], ['…'] or quotes.
func unlist(value string) (string, bool) {
	text := strings.TrimSpace(value)
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text, ok = strings.CutSuffix(inner, "]")
		if !ok {
			return value, false
		}
		text = strings.TrimSpace(text)
	}
	for _, quote := range []string{`"`, "'"} {
		if n := len(text); n >= 2 && strings.HasPrefix(text, quote) && strings.HasSuffix(text, quote) {
			text = text[1 : n-1]
			break
		}
	}
	return text, text != value && text != ""
}

func (w *work) lookAtTime() {
	if w.seen.Timestamp == "" || w.stamp.unit == "" {
		return
	}
	age := w.in.At.Unix() - w.stamp.unix
	limit := int64(w.in.Tolerance.Seconds())
	switch {
	case w.stamp.unit != w.seen.StampUnit:
		w.mistake(TimestampUnit, "the timestamp is "+w.stamp.unit+", not "+wantedStamp[w.seen.StampUnit])
	case age > limit:
		w.mistake(TimestampOld, fmt.Sprintf("the timestamp is %s old, more than %s", span(age), w.in.Tolerance))
	case age < -limit:
		w.mistake(TimestampAhead, fmt.Sprintf("the timestamp is %s ahead, more than %s", span(-age), w.in.Tolerance))
	}
}

// span is a number of seconds in words that a person can grasp.
func span(seconds int64) string {
	switch {
	case seconds < 0 || seconds > 400*86400:
		return "more than a year"
	case seconds >= 2*86400:
		return strconv.FormatInt(seconds/86400, 10) + " days"
	case seconds >= 2*3600:
		return strconv.FormatInt(seconds/3600, 10) + " hours"
	}
	return strconv.FormatInt(seconds/60, 10) + " minutes"
}

func (w *work) lookForMissing() bool {
	missing := false
	for _, h := range w.seen.Headers {
		if len(h.Values) > 1 || len(h.Values) == 1 && h.Values[0] != "" {
			continue
		}
		missing = true
		if h.Holds == "event.id" {
			w.mistake(MissingID, "the header "+h.Name+", which carries the event's id, is missing")
		} else {
			w.mistake(MissingHeader, "the header "+h.Name+" is missing")
		}
	}
	return missing
}

// pairLimit is the largest body of which pairs of mistakes in the header and in
// the body are tried.
const pairLimit = 8 << 10

// search tries the combinations of guesses, and returns one of those with the
// fewest mistakes; nil if no signature fits under any.
func (w *work) search(d *dialect.Dialect, keys []guess) *found {
	var best *found
	all := make([]dialect.VerifyKey, len(keys))
	for i := range keys {
		all[i] = keys[i].key
	}
	bodies := w.bodyGuesses()
	for _, h := range w.headerGuesses() {
		for _, b := range bodies {
			if best != nil && len(h.kinds)+len(b.kinds) >= best.cost() {
				continue
			}
			if len(h.kinds) > 0 && len(b.kinds) > 0 && (len(b.body) > pairLimit || b.alone) {
				continue
			}
			r := w.received
			r.Header, r.Body, r.Keys = h.header, b.body, all
			if h.url != "" {
				r.URL = h.url
			}
			for _, t := range d.Inspect(r).Tokens {
				for i, fits := range t.Fits {
					if f := (&found{h, b, keys[i], t, ""}); fits && (best == nil || f.better(best)) {
						best = f
					}
				}
			}
		}
	}
	return best
}

// searchOtherHashes looks whether a signature was made with another hash, if
// one of them has the size for it.
func (w *work) searchOtherHashes() *found {
	others := w.in.Dialect.OtherHashes()
	for _, name := range slices.Sorted(maps.Keys(others)) {
		d := others[name]
		sized := false
		for _, t := range d.Inspect(w.received).Tokens {
			sized = sized || t.Kind != "" || t.Miswritten != ""
		}
		if !sized {
			continue
		}
		if best := w.search(d, w.keyGuesses(d)); best != nil {
			best.hash = name
			return best
		}
	}
	return nil
}

// better prefers fewer mistakes, then signatures that are written well, then
// the secret that was given first.
func (f *found) better(o *found) bool {
	switch a, b := f.cost(), o.cost(); {
	case a != b:
		return a < b
	case (f.token.Miswritten == "") != (o.token.Miswritten == ""):
		return f.token.Miswritten == ""
	}
	return f.key.secret < o.key.secret
}

// headerGuesses are the headers as they are, and with another timestamp or id.
func (w *work) headerGuesses() []guess {
	as := w.received.Header
	out := []guess{{header: as}}
	if text := w.seen.Timestamp; text != "" && w.stamp.unit != "" {
		for _, h := range w.seen.Headers {
			if h.Name != w.seen.StampHeader || len(h.Values) != 1 {
				continue
			}
			for _, u := range units {
				other := strconv.FormatInt(w.stamp.unix, 10) + strings.Repeat("0", len(strconv.FormatInt(u.factor, 10))-1)
				if other == text {
					continue
				}
				g := guess{header: dialect.SetHeader(as, h.Name, strings.Replace(h.Values[0], text, other, 1))}
				g.kinds, g.detail = []Kind{TimestampUnit}, "what was signed holds the timestamp in "+u.name+", and the header does not"
				out = append(out, g)
			}
		}
	}
	for _, h := range w.seen.Headers {
		if h.Holds == "event.id" && len(h.Values) == 0 {
			for _, id := range w.idsInBody() {
				out = append(out, guess{header: dialect.SetHeader(as, h.Name, id), kinds: []Kind{MissingID},
					detail: "the header " + h.Name + " is missing; with the id in the body the signature fits"})
			}
		}
	}
	out = append(out, w.gatheredGuesses(as)...)
	for _, g := range w.urlGuesses() {
		g.header = as
		out = append(out, g)
	}
	return out
}

// idsInBody are what may be the event's id in a JSON body.
func (w *work) idsInBody() []string {
	var body map[string]any
	if json.Unmarshal(w.in.Body, &body) != nil {
		return nil
	}
	var out []string
	for _, name := range []string{"id", "event_id", "eventId", "message_id"} {
		if id, ok := body[name].(string); ok && id != "" {
			out = append(out, id)
		}
	}
	return out
}

// checkBody says what the body is, so that it can be compared with what the
// sender sent.
func (w *work) checkBody() {
	b := w.in.Body
	if len(b) == 0 {
		w.check("body", Warning, "the body is empty")
		return
	}
	sum := sha256.Sum256(b)
	var marks []string
	if bytes.HasPrefix(b, []byte(mark)) {
		marks = append(marks, "begins with a byte order mark")
	}
	if bytes.Contains(b, []byte("\r\n")) {
		marks = append(marks, "has CRLF line ends")
	}
	if b[len(b)-1] == '\n' {
		marks = append(marks, "ends with a line break")
	}
	if !utf8.Valid(b) {
		marks = append(marks, "is not UTF-8")
	}
	if !json.Valid(b) {
		marks = append(marks, "is not JSON")
	}
	r := OK
	if len(marks) > 0 {
		r = Warning
	}
	text := fmt.Sprintf("%s, SHA-256 %s", count(len(b), "byte"), hex.EncodeToString(sum[:]))
	if len(marks) > 0 {
		text += "; it " + strings.Join(marks, ", ")
	}
	w.check("body", r, "%s", text)
}
