package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// An event's data is {"at":<Unix ns, 19 digits>,"n":"<12 digits>","pad":"…"}:
// at is when it was due to be sent, so that the receiver can tell its age. All
// places have a fixed width, so that a request is built once and then patched.
const (
	atMark   = `"at":`
	atDigits = 19
	nMark    = `"n":"`
	nDigits  = 12
)

// What precedes the rest that is patched.
const (
	idMark     = `"id":"bench-`
	typeMark   = `"type":"`
	tenantMark = `"tenant":"`
	pathMark   = `/v1/tenants/`
)

// data makes an event's data of size bytes, with zeros in the places to patch.
func data(size int, members string) string {
	if members != "" {
		members += ","
	}
	head := `{` + atMark + "1" + strings.Repeat("0", atDigits-1) + `,` + nMark + strings.Repeat("0", nDigits) + `",` + members + `"pad":"`
	const tail = `"}`
	return head + padding(max(size-len(head)-len(tail), 0)) + tail
}

// padding is text that does not compress to nothing: hex digits of a fixed
// pseudo-random sequence.
func padding(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdef"[r.IntN(16)]
	}
	return string(b)
}

// template is a built request or body with the places of its events' times and
// numbers, and of what they are addressed by.
type template struct {
	bytes            []byte
	at, n            []int // offsets of the first digits, one for each event
	ids              []int // offsets of the digits of the events' own ids
	tenants, types   []int // offsets
	tenant, typeName string
}

func newTemplate(text string) template {
	t := template{bytes: []byte(text), ids: places(text, idMark), tenants: append(places(text, pathMark), places(text, tenantMark)...), types: places(text, typeMark)}
	for from := 0; ; {
		i := strings.Index(text[from:], atMark)
		if i < 0 {
			return t
		}
		at := from + i + len(atMark)
		n := at + strings.Index(text[at:], nMark) + len(nMark)
		t.at, t.n = append(t.at, at), append(t.n, n)
		from = n
	}
}

// places finds what follows a mark.
func places(text, mark string) (all []int) {
	for from := 0; ; {
		i := strings.Index(text[from:], mark)
		if i < 0 {
			return all
		}
		from += i + len(mark)
		all = append(all, from)
	}
}

// readdress writes another tenant and type of the same lengths.
func (t *template) readdress(tenant, eventType string) {
	if tenant != t.tenant {
		t.tenant = tenant
		for _, at := range t.tenants {
			copy(t.bytes[at:], tenant)
		}
	}
	if eventType != t.typeName {
		t.typeName = eventType
		for _, at := range t.types {
			copy(t.bytes[at:], eventType)
		}
	}
}

// requests keeps a connection's templates: one for each pair of lengths of the
// tenant's id and the type's name, so that a million endpoints need a few.
type requests struct {
	stream    *Stream
	host, key string
	built     map[[2]int]*template
}

// of returns the request for events of a tenant and type. It is valid until the
// next call.
func (r *requests) of(tenant, eventType string) *template {
	lengths := [2]int{len(tenant), len(eventType)}
	t := r.built[lengths]
	if t == nil {
		if r.built == nil {
			r.built = map[[2]int]*template{}
		}
		built := publishRequest(r.stream, r.host, r.key, tenant, eventType)
		t = &built
		r.built[lengths] = t
	}
	t.readdress(tenant, eventType)
	return t
}

// patch writes the time and number of the template's i-th event.
func (t *template) patch(i int, at time.Time, number int64) {
	digits(t.bytes[t.at[i]:t.at[i]+atDigits], at.UnixNano())
	digits(t.bytes[t.n[i]:t.n[i]+nDigits], number)
	if len(t.ids) > 0 {
		digits(t.bytes[t.ids[i]:t.ids[i]+nDigits], number)
	}
}

func digits(b []byte, v int64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
}

// sentAt reads the time out of a body that carries an event's data; ok is
// false if there is none near its beginning.
func sentAt(body []byte) (at time.Time, ok bool) {
	i := bytes.Index(body[:min(len(body), 512)], []byte(atMark))
	if i < 0 || len(body) < i+len(atMark)+atDigits {
		return time.Time{}, false
	}
	i += len(atMark)
	ns, err := strconv.ParseInt(string(body[i:i+atDigits]), 10, 64)
	return time.Unix(0, ns), err == nil
}

// publishRequest builds the whole HTTP/1.1 request of a stream that publishes
// events of one type: one event at its tenant's path, or a batch.
func publishRequest(s *Stream, host, key, tenant, eventType string) template {
	var body, path string
	rest := fmt.Sprintf(`%s%s","data":%s`, typeMark, eventType, data(s.Size, s.Members))
	if s.Keyed {
		rest = idMark + strings.Repeat("0", nDigits) + `",` + rest
	}
	if s.Metadata != "" {
		rest += `,"metadata":` + s.Metadata
	}
	if s.Batch > 1 {
		path = "/v1/events"
		item := "{" + tenantMark + tenant + `",` + rest + "}"
		body = "[" + strings.Repeat(item+",", s.Batch-1) + item + "]"
	} else {
		path = pathMark + tenant + "/events"
		body = "{" + rest + "}"
	}
	t := newTemplate(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, host, key, len(body), body))
	t.tenant, t.typeName = tenant, eventType
	return t
}
