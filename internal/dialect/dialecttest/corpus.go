package dialecttest

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
)

// Named is an event with a name for its test.
type Named struct {
	Name  string
	Event *hook.Event
}

// when is the time of the suite's first event.
var when = time.Date(2026, 3, 1, 12, 30, 45, 678_901_234, time.UTC)

// Event makes an event of a type with the data as given. n tells it from
// others.
func Event(n int64, eventType, data string) *hook.Event {
	return &hook.Event{
		ID:   hook.EventIDFrom(when.UnixMilli()<<12+n, uint64(n)*0x9e3779b97f4a7c15),
		Type: eventType, Tenant: 7, Time: when.Add(time.Duration(n) * time.Second), Data: []byte(data), Number: 100 + n,
	}
}

// Special returns the events that break careless senders and receivers: the
// smallest JSON, white space that must survive, every kind of escape, code
// points of one to four bytes, digits beyond a float's.
func Special() []Named {
	texts := []struct{ name, data string }{
		{"object", `{"id":"inv_1","amount":1999,"paid":true}`},
		{"smallest", `1`},
		{"null", `null`},
		{"empty_object", `{}`},
		{"empty_text", `""`},
		{"unicode", `{"name":"Jürgen Žižek 日本語","rtl":"שלום","combined":"é"}`},
		{"emoji", `{"face":"😀","family":"👩‍👩‍👧","flag":"🇩🇪"}`},
		{"escapes", `{"quote":"\"","back":"\\","slash":"\/","u":"\u00e9\ud83d\ude00\u0000","n":"\n\t\r\b\f"}`},
		{"html", "{\"html\":\"<a href='x'>&amp;</a>\",\"\u2028\":\"line separator\"}"},
		{"white_space", "{ \"a\" :\r\n\t[ 1 , 2 ] }\n"},
		{"numbers", `[1e400,-0,0.10,12345678901234567890123,1E+2]`},
		{"replacement", "\"\ufffd\ufffe\U0010ffff\""},
	}
	out := make([]Named, len(texts))
	for i, t := range texts {
		out[i] = Named{t.name, Event(int64(i), "invoice.paid", t.data)}
	}
	return out
}

// Corpus makes n events from a seed: first the special ones, then three of
// 1 MB, then random documents of 1 byte to some kilobytes.
func Corpus(seed uint64, n int) []*hook.Event {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]*hook.Event, 0, n)
	for _, s := range Special() {
		out = append(out, s.Event)
	}
	for _, unit := range []string{"x", "ü", "😀"} {
		data := `"` + strings.Repeat(unit, (1<<20-2)/len(unit)) + `"`
		out = append(out, Event(int64(len(out)), "big.event", data))
	}
	for len(out) < n {
		e := Event(int64(len(out)), "a.b_c-"+strconv.Itoa(rng.IntN(100)), string(document(rng, 4)))
		var tail [8]byte
		binary.LittleEndian.PutUint64(tail[:], rng.Uint64())
		e.ID = hook.EventIDFrom(e.ID.Seq(), binary.LittleEndian.Uint64(tail[:]))
		out = append(out, e)
	}
	return out[:n]
}

// document makes a random JSON value.
func document(rng *rand.Rand, depth int) jsontext.Value {
	switch k := rng.IntN(8); {
	case depth > 0 && k < 2:
		var parts []string
		for i := range rng.IntN(6) {
			name, _ := jsontext.AppendQuote(nil, strconv.Itoa(i)+text(rng))
			parts = append(parts, string(name)+":"+string(document(rng, depth-1)))
		}
		return jsontext.Value("{" + strings.Join(parts, ",") + "}")
	case depth > 0 && k < 4:
		var parts []string
		for range rng.IntN(6) {
			parts = append(parts, string(document(rng, depth-1)))
		}
		return jsontext.Value("[" + strings.Join(parts, ", ") + "]")
	case k == 4:
		return jsontext.Value(strconv.Itoa(rng.IntN(10)))
	case k == 5:
		return jsontext.Value(strconv.FormatFloat(rng.NormFloat64(), 'g', -1, 64))
	}
	quoted, _ := jsontext.AppendQuote(nil, text(rng))
	return quoted
}

// text makes a random text from all planes of Unicode.
func text(rng *rand.Rand) string {
	var b strings.Builder
	for range rng.IntN(40) {
		top := []int{0x20, 0x7f, 0x800, 0xd800, 0x110000}[rng.IntN(5)]
		if r := rune(rng.IntN(top)); r < 0xd800 || r > 0xdfff {
			b.WriteRune(r)
		}
	}
	return b.String()
}
