package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
	"grapnel/internal/spelling"
)

// maxManage bounds the body of a request that configures something.
const maxManage = 1 << 20

// buffers holds bodies that were read, to be used again. Larger ones than most
// requests need are left to the collector.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxPooled = 256 << 10

// withBody reads the whole body, at most limit bytes, and hands it to use. The
// bytes are gone when use returns. What is too large is refused, never cut
// (case 64).
func (c *call) withBody(limit int64, use func(body []byte) error) error {
	if enc := c.r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return hook.Errorf(codeUnsupported, "the body has Content-Encoding %q: send it as it is", hook.Clip(enc))
	}
	if c.r.ContentLength > limit {
		c.Header().Set("Connection", "close") // rather than read it all to throw it away
		return tooLarge(limit)
	}
	b := buffers.Get().(*bytes.Buffer)
	defer func() {
		if b.Cap() <= maxPooled {
			buffers.Put(b)
		}
	}()
	b.Reset()
	if n := c.r.ContentLength; n > 0 {
		n = min(n, maxPooled) // no more than that on a caller's word
		if err := c.held.cover(n); err != nil {
			c.Header().Set("Connection", "close")
			return err
		}
		b.Grow(int(n) + bytes.MinRead)
	}
	from := covered{http.MaxBytesReader(c.ResponseWriter, c.r.Body, limit), &c.held, 0}
	if _, err := b.ReadFrom(&from); err != nil {
		var over *http.MaxBytesError
		switch {
		case errors.As(err, &over):
			return tooLarge(limit)
		case hook.CodeOf(err) == hook.CodeUnavailable, hook.CodeOf(err) == hook.CodeRateLimited:
			c.Header().Set("Connection", "close")
			return err
		}
		return hook.Invalid("", "the body ends before it should: %v", readError(err))
	}
	return use(b.Bytes())
}

func tooLarge(limit int64) error {
	return hook.Errorf(hook.CodeTooLarge, "the body has more than %d bytes; nothing was stored", limit)
}

// readError hides addresses, which errors of the network hold.
func readError(err error) string {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "it is shorter than Content-Length says"
	}
	return "the connection failed"
}

// decode reads the body as one JSON object into v, strictly. No body at all
// is an empty object.
func (c *call) decode(v any) error {
	return c.withBody(maxManage, func(body []byte) error {
		trimmed := bytes.TrimLeft(body, " \t\r\n")
		if len(trimmed) == 0 {
			return nil
		}
		if err := json.Unmarshal(body, v, json.RejectUnknownMembers(true)); err != nil {
			return decodeError(err)
		}
		if trimmed[0] != '{' {
			return hook.Invalid("", "want a JSON object")
		}
		return nil
	})
}

// wantError is what a reader of a field wants instead.
type wantError string

// Error says so.
func (w wantError) Error() string { return "want " + string(w) }

// decodeError says what is wrong with a body, and where. It never quotes a
// value: it may be a secret.
func decodeError(err error) error {
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return hook.Invalid("", "the JSON ends too early")
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return hook.Invalid(string(syntax.JSONPointer), "is there twice, the second time at byte %d", syntax.ByteOffset)
	case errors.As(err, &syntax):
		return hook.Invalid(string(syntax.JSONPointer), "not valid JSON at byte %d: %v", syntax.ByteOffset, syntax.Err)
	case errors.As(err, &semantic):
		return semanticError(semantic)
	}
	return hook.Invalid("", "not valid JSON")
}

func semanticError(e *json.SemanticError) error {
	at := string(e.JSONPointer)
	var want wantError
	switch {
	case errors.Is(e.Err, json.ErrUnknownName):
		return hook.Invalid(at, "is not known here: %s", suggest(e.JSONPointer.LastToken(), names(e.GoType)))
	case errors.As(e.Err, &want):
		return hook.Invalid(at, "%s", want.Error())
	case e.GoType != nil:
		return hook.Invalid(at, "is %s, want %s", jsonKind(e.JSONKind), goKind(e.GoType))
	}
	return hook.Invalid(at, "is not what belongs here")
}

func jsonKind(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "true or false"
	case '"':
		return "a text"
	case '0':
		return "a number that does not fit"
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return "something else"
}

func goKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "something else"
}

// names lists the members that a request's shape has.
func names(t reflect.Type) []string {
	var out []string
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		if t.Field(i).Anonymous {
			continue // what an answer shows and a request may echo is nothing to suggest
		}
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// suggest names the known word that is nearest to a wrong one, or all of them.
func suggest(wrong string, known []string) string {
	if best := spelling.Nearest(wrong, known); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "want some of " + strings.Join(known, ", ")
}

// field is a member that may be absent, which leaves things as they are, or
// null, which sets them back.
type field[T any] struct {
	given bool
	value T
}

// UnmarshalJSONFrom notes that the member is there.
func (f *field[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	f.given = true
	if dec.PeekKind() == 'n' {
		return dec.SkipValue()
	}
	return json.UnmarshalDecode(dec, &f.value)
}

// pointer is nil for an absent member.
func (f *field[T]) pointer() *T {
	if !f.given {
		return nil
	}
	return &f.value
}

// raw is any JSON value, and what was written for it.
type raw struct {
	given bool
	text  []byte // nil for null
}

// UnmarshalJSONFrom copies the value.
func (r *raw) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	r.given = true
	if value.Kind() != 'n' {
		r.text = slices.Clone(value)
	}
	return nil
}

func (r *raw) pointer() *[]byte {
	if !r.given {
		return nil
	}
	text := r.text
	return &text
}
