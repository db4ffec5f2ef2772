package api

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
)

// marshal writes what was published as it was: with its escapes, digits and
// order. Invalid UTF-8 in what came from outside becomes U+FFFD instead of an
// error, and a header that came twice stands there twice.
func marshal(v any) ([]byte, error) {
	return json.Marshal(v, jsontext.PreserveRawStrings(true), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
}

// answer writes a value as JSON.
func (c *call) answer(status int, v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	if status == http.StatusOK && c.reads() {
		return c.read(b, tagOf(b))
	}
	c.Header().Set("Content-Type", "application/json")
	c.WriteHeader(status)
	c.Write(b)
	return nil
}

// answerAs answers a GET whose entity tag is that of a part of the answer.
func (c *call) answerAs(v, tagged any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	tag, err := shapeTag(tagged)
	if err != nil {
		return err
	}
	return c.read(b, tag)
}

// list is a page of a list.
type list[T any] struct {
	Data       []T    `json:"data" doc:"the items of this page"`
	NextCursor string `json:"next_cursor,omitzero" doc:"where the next page begins; absent: this is the last"`
	PrevCursor string `json:"prev_cursor,omitzero" doc:"where the previous page ends; absent: this is the first"`
}

// page answers with a page, and with links to those before and behind it.
func page[T any](c *call, data []T, l links) error {
	if data == nil {
		data = []T{}
	}
	var refs []string
	for _, to := range []struct{ rel, cursor string }{{"next", l.next}, {"prev", l.prev}} {
		if to.cursor != "" {
			q := c.r.URL.Query()
			q.Set("cursor", to.cursor)
			refs = append(refs, "<"+c.r.URL.EscapedPath()+"?"+q.Encode()+`>; rel="`+to.rel+`"`)
		}
	}
	if refs != nil {
		c.link = strings.Join(refs, ", ")
	}
	return c.answer(http.StatusOK, list[T]{data, l.next, l.prev})
}

// stamp is a time in answers: RFC 3339, UTC, milliseconds.
type stamp time.Time

const stampForm = "2006-01-02T15:04:05.000Z"

// IsZero makes omitzero leave unset times out.
func (s stamp) IsZero() bool { return time.Time(s).IsZero() }

// MarshalText writes the time.
func (s stamp) MarshalText() ([]byte, error) {
	return time.Time(s).UTC().AppendFormat(nil, stampForm), nil
}

// seconds is a duration: in answers a number of seconds; in requests that, or
// a text such as "1m30s".
type seconds time.Duration

// MarshalJSONTo writes the number.
func (s seconds) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'f', -1, 64))
}

// maxSeconds is more than anything that a duration is allowed for, and far
// from what a time.Duration can hold.
const maxSeconds = 1e9

// UnmarshalJSONFrom reads a number or a text.
func (s *seconds) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch value.Kind() {
	case '0':
		f, err := strconv.ParseFloat(string(value), 64)
		if err != nil || f > maxSeconds || f < -maxSeconds {
			return wantError("a number of seconds that is not so large")
		}
		*s = seconds(f * float64(time.Second))
		return nil
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		if err == nil {
			var d time.Duration
			if d, err = time.ParseDuration(string(text)); err == nil {
				*s = seconds(d)
				return nil
			}
		}
	}
	return wantError(`a number of seconds, or a text such as "1m30s"`)
}

// bytesText is what came from or went to somebody else: text if it is valid
// UTF-8, else base64.
type bytesText struct {
	Text     string `json:"body" doc:"the bytes as text, or in base64 where they are not valid UTF-8" example:"{\"id\":1}"`
	Encoding string `json:"body_encoding,omitzero" doc:"base64, or absent for text" enum:"base64"`
}

func textOf(b []byte) bytesText {
	if utf8.Valid(b) {
		return bytesText{Text: string(b)}
	}
	return bytesText{Text: base64.StdEncoding.EncodeToString(b), Encoding: "base64"}
}

// headers is a list of headers as a JSON object, in order.
type headers []hook.Header

// MarshalJSONTo writes the object. A name may be there twice, as it was sent.
func (h headers) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, header := range h {
		if err := enc.WriteToken(jsontext.String(header.Name)); err != nil {
			return err
		}
		if err := enc.WriteToken(jsontext.String(header.Value)); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// UnmarshalJSONFrom reads an object of texts and keeps its order.
func (h *headers) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '{' {
		if err := dec.SkipValue(); err != nil {
			return err
		}
		return wantError("an object of header names and values")
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	*h = headers{}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		header := hook.Header{Name: name.String()}
		value, err := dec.ReadToken()
		if err != nil {
			return err
		}
		if value.Kind() != '"' {
			return &json.SemanticError{JSONPointer: dec.StackPointer(), Err: wantError("a text")}
		}
		header.Value = value.String()
		*h = append(*h, header)
	}
	_, err := dec.ReadToken()
	return err
}
