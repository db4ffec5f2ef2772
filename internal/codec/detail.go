package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/hook"
)

// An attempt's detail is what of it has no column of its own. Most of it is the
// same for all attempts, or known from elsewhere, so it is written as short codes
// wherever exactly the same text comes out again.

// Versions of a detail: its first byte. In the first one texts and header blocks
// stand as they are, each with its length before it.
const (
	detailPlain = 1
	detailCoded = 2
)

// Bits of an attempt's detail.
const (
	flagTruncated = 1 << iota
	flagReused
	flagManual
	flagOmitted
)

// Append writes a detail: version, flags, then texts, header blocks and
// numbers.
func (h *Details) Append(b []byte, a *hook.Attempt, pack *Packer) []byte {
	var flags byte
	if a.Truncated {
		flags |= flagTruncated
	}
	if a.Reused {
		flags |= flagReused
	}
	if a.Trigger == hook.Manual {
		flags |= flagManual
	}
	if a.Omitted > 0 {
		flags |= flagOmitted
	}
	b = append(b, detailCoded, flags)
	b = append(b, a.BodySHA256[:]...)
	b = binary.AppendUvarint(b, uint64(max(a.BodySize, 0)))
	for _, s := range [...]string{a.Method, a.URL, a.Detail, a.Proto, a.RemoteAddr, a.TLSVersion, a.Reason} {
		b = appendWord(b, s)
	}
	h.of(a)
	b = h.append(b, a.RequestHeader)
	b = h.append(b, a.ResponseHeader)
	body := pack.Pack(a.ResponseBody)
	b = append(binary.AppendUvarint(b, uint64(len(body))), body...)
	pack.Reset()
	if a.Omitted > 0 {
		b = binary.AppendUvarint(b, uint64(a.Omitted))
	}
	t := a.Timing
	for _, d := range [...]time.Duration{t.DNS, t.Connect, t.TLS, t.Wait, t.Body, t.Total} {
		b = binary.AppendVarint(b, int64(d))
	}
	return binary.AppendVarint(b, FromTime(a.NextAt))
}

// ParseDetail reads what Details.Append wrote into a, whose key and time are set.
func ParseDetail(b []byte, a *hook.Attempt) error {
	r := &Reader{B: b}
	head := r.Take(2)
	if r.Bad || head[0] != detailPlain && head[0] != detailCoded {
		return ErrFormat
	}
	a.Truncated, a.Reused = head[1]&flagTruncated != 0, head[1]&flagReused != 0
	if head[1]&flagManual != 0 {
		a.Trigger = hook.Manual
	}
	copy(a.BodySHA256[:], r.Take(32))
	a.BodySize = r.Size()
	word := r.word
	if head[0] == detailPlain {
		word = r.Text
	}
	for _, s := range [...]*string{&a.Method, &a.URL, &a.Detail, &a.Proto, &a.RemoteAddr, &a.TLSVersion, &a.Reason} {
		*s = word()
	}
	var h Details
	h.of(a)
	block := h.read
	if head[0] == detailPlain {
		block = (*Reader).Bytes
	}
	a.RequestHeader, a.ResponseHeader, a.ResponseBody = block(r), block(r), r.Bytes()
	if head[0] == detailCoded && !r.Bad {
		var err error
		if a.ResponseBody, err = Unpack(a.ResponseBody); err != nil {
			return err
		}
	}
	if head[1]&flagOmitted != 0 {
		a.Omitted = r.Size()
	}
	t := &a.Timing
	for _, d := range [...]*time.Duration{&t.DNS, &t.Connect, &t.TLS, &t.Wait, &t.Body, &t.Total} {
		*d = time.Duration(r.Int())
	}
	a.NextAt = ToTime(r.Int())
	if r.Bad || len(r.B) > 0 {
		return ErrFormat
	}
	return nil
}

// words are texts that have a number. What is stored means them by their place:
// new ones go to the end, and there are never more than maxWords.
var words = [...]string{
	"", "POST", "GET", "PUT", "PATCH", "DELETE", "HTTP/1.1", "HTTP/2.0", "HTTP/1.0", "TLS 1.3", "TLS 1.2",
	"application/json", "application/json; charset=utf-8", "text/plain", "text/plain; charset=utf-8", "text/html", "text/html; charset=utf-8",
	"application/x-www-form-urlencoded", "application/cloudevents+json", "application/cloudevents+json; charset=utf-8",
	"Grapnel", "close", "keep-alive", "nginx", "cloudflare", "gzip", "chunked", "*", "no-cache", "no-store", "nosniff", "DYNAMIC", "*/*", "identity",
	"connection refused",
}

// names are the names of header lines that have a number, as words have.
var names = [...]string{
	"Host", "User-Agent", "Content-Length", "Content-Type", "Accept-Encoding", "Accept", "Authorization", "Date", "Server", "Connection",
	"webhook-id", "webhook-timestamp", "webhook-signature", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature",
	"host", "user-agent", "content-length", "content-type", "accept-encoding", "accept", "authorization", "date", "server", "connection",
	"Vary", "Cache-Control", "Etag", "X-Request-Id", "Set-Cookie", "Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options",
	"Transfer-Encoding", "Content-Encoding", "Keep-Alive", "Via", "Alt-Svc", "Cf-Ray", "Cf-Cache-Status", "Nel", "Report-To", "X-Powered-By",
	"Access-Control-Allow-Origin", "Retry-After", "Location", "Age", "Expires", "Last-Modified", "Pragma", "Traceparent", "traceparent", "Idempotency-Key",
	"ce-id", "ce-source", "ce-specversion", "ce-type", "ce-time", "X-Runtime", "X-Amzn-Requestid", "X-Amz-Cf-Id", "X-Cache", "Referrer-Policy",
}

// maxWords and maxNames are how many words and names there may ever be: numbers
// from there on are lengths. noName ends the lines of a block.
const (
	maxWords = 64
	maxNames = 100
	noName   = maxNames - 1
)

// longestWord is the length of the longest word.
const longestWord = 48

var wordNumbers, nameNumbers = numbered(words[:]), numbered(names[:])

func numbered(list []string) map[string]uint64 {
	m := make(map[string]uint64, len(list))
	for i, s := range list {
		m[s] = uint64(i)
	}
	return m
}

// appendWord writes a text: the number of a word, or the length and maxWords
// before the text itself.
func appendWord[T string | []byte](b []byte, s T) []byte {
	if len(s) <= longestWord {
		if n, ok := wordNumbers[string(s)]; ok {
			return append(b, byte(n))
		}
	}
	return append(binary.AppendUvarint(b, uint64(len(s))+maxWords), s...)
}

// word reads what appendWord wrote.
func (r *Reader) word() string { return string(r.appendCoded(nil, words[:], maxWords)) }

// appendCoded reads one of a list, or a text with its length and most before it.
func (r *Reader) appendCoded(b []byte, list []string, most uint64) []byte {
	switch n := r.Uint(); {
	case n >= most:
		return append(b, r.Take(n-most)...)
	case n < uint64(len(list)):
		return append(b, list[n]...)
	}
	r.Bad, r.B = true, nil
	return b
}

// Kinds of a header line's value.
const (
	valueWord  = iota // as appendWord
	valueEvent        // the event's id
	valueUint         // a number without leading zeros
	valueUnix         // Unix seconds, from the attempt's on
	valueDate         // an HTTP date, in seconds from the attempt's on
	valueHMAC         // "v1," and 32 bytes in base64
	valueHost         // the host of the URL
)

// Details writes and reads header blocks, one attempt's after the other. What
// it remembers of the ones before only saves looking things up.
type Details struct {
	event   hook.EventID
	host    string
	at      int64 // Unix seconds of the attempt
	follows [maxNames]byte
	date    string // the last one that was parsed
	unix    int64
}

// of turns to an attempt.
func (h *Details) of(a *hook.Attempt) {
	h.event, h.host, h.at = a.Key.Event, hostOf(a.URL), FromTime(a.At)/int64(time.Second)
}

// hostOf cuts the host with its port out of a URL. What it cuts out of anything
// else does not matter, as long as it is always the same.
func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// append writes a header block: each line's name with the kind of its value and
// that, then noName and, with its length, what is no such line.
func (h *Details) append(b, block []byte) []byte {
	last := byte(0)
	for {
		name, value, rest, ok := cutLine(block)
		if !ok {
			break
		}
		block = rest
		if guess := h.follows[last]; string(name) != names[guess] {
			n, ok := nameNumbers[string(name)]
			if !ok {
				b = append(binary.AppendUvarint(b, uint64(len(name))+maxNames), name...)
				b = h.appendValue(b, value)
				continue
			}
			h.follows[last] = byte(n)
		}
		last = h.follows[last]
		b = h.appendValue(append(b, last), value)
	}
	return append(binary.AppendUvarint(append(b, noName), uint64(len(block))), block...)
}

// cutLine cuts the first line off a header block.
func cutLine(block []byte) (name, value, rest []byte, ok bool) {
	end := bytes.IndexByte(block, '\n')
	if end < 1 || block[end-1] != '\r' {
		return nil, nil, block, false
	}
	name, value, ok = bytes.Cut(block[:end-1], colon)
	return name, value, block[end+1:], ok
}

var colon = []byte(": ")

// appendValue writes a value in the shortest of the forms that give exactly it
// again.
func (h *Details) appendValue(b, v []byte) []byte {
	switch {
	case len(v) == 0:
	case len(v) == 36 && string(v) == h.event.String():
		return append(b, valueEvent)
	case h.host != "" && string(v) == h.host:
		return append(b, valueHost)
	case len(v) <= 18 && v[0] >= '0' && v[0] <= '9':
		if v[0] == '0' && len(v) > 1 {
			break
		}
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			break
		}
		if d := n - h.at; d > -1<<20 && d < 1<<20 && len(v) >= 10 {
			return binary.AppendVarint(append(b, valueUnix), d)
		}
		return binary.AppendUvarint(append(b, valueUint), uint64(n))
	case len(v) == len(http.TimeFormat) && v[3] == ',' && v[28] == 'T':
		if h.parseDate(v) {
			return binary.AppendVarint(append(b, valueDate), h.unix-h.at)
		}
	case len(v) == 47 && string(v[:3]) == "v1,":
		var raw [33]byte
		if n, err := base64.StdEncoding.Strict().Decode(raw[:], v[3:]); err == nil && n == 32 {
			return append(append(b, valueHMAC), raw[:32]...)
		}
	}
	return appendWord(append(b, valueWord), v)
}

// parseDate reads an HTTP date, if that is what would be written of it.
func (h *Details) parseDate(v []byte) bool {
	if string(v) == h.date {
		return true
	}
	t, err := time.Parse(http.TimeFormat, string(v))
	if err != nil || t.Format(http.TimeFormat) != string(v) {
		return false
	}
	h.date, h.unix = string(v), t.Unix()
	return true
}

// read reads a block that append wrote.
func (h *Details) read(r *Reader) []byte {
	var b []byte
	for !r.Bad {
		if len(r.B) > 0 && r.B[0] == noName {
			r.Take(1)
			break
		}
		b = append(r.appendCoded(b, names[:], maxNames), colon...)
		b = append(h.readValue(b, r), "\r\n"...)
	}
	return append(b, r.Take(r.Uint())...)
}

func (h *Details) readValue(b []byte, r *Reader) []byte {
	kind := r.Take(1)
	if kind == nil {
		return b
	}
	switch kind[0] {
	case valueWord:
		return r.appendCoded(b, words[:], maxWords)
	case valueEvent:
		return append(b, h.event.String()...)
	case valueUint:
		return strconv.AppendUint(b, r.Uint(), 10)
	case valueUnix:
		return strconv.AppendInt(b, h.at+r.Int(), 10)
	case valueDate:
		return time.Unix(h.at+r.Int(), 0).UTC().AppendFormat(b, http.TimeFormat)
	case valueHMAC:
		return base64.StdEncoding.AppendEncode(append(b, "v1,"...), r.Take(32))
	case valueHost:
		return append(b, h.host...)
	}
	r.Bad, r.B = true, nil
	return b
}
