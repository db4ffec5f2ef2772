package dialect

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
)

// Form is what a query or a form holds, by name. It is read as the vendors'
// servers do: & alone stands between two values, so that the semicolons of an
// address stay in it, and of several values of one name the last counts.
type Form struct {
	values url.Values
	broken map[string]string // what cannot be decoded, as it came
}

// ParseForm reads a query or a form. What cannot be decoded is an error to
// those who ask for it by its name, and nobody else's.
func ParseForm(raw string) Form {
	f := Form{url.Values{}, map[string]string{}}
	for pair := range strings.SplitSeq(raw, "&") {
		name, text, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || name == "" {
			continue
		}
		delete(f.values, name)
		delete(f.broken, name)
		if value, err := url.QueryUnescape(text); err == nil {
			f.values[name] = []string{value}
		} else {
			f.broken[name] = text
		}
	}
	return f
}

// Get is a value by its name, and whether it was given. The error, of
// CodeInvalid, tells of a broken escape.
func (f Form) Get(name string) (value string, given bool, err error) {
	if text, broken := f.broken[name]; broken {
		return "", true, hook.Invalid("/"+name, "%s has a percent sign that no two hexadecimal digits follow: %q; a percent sign itself is sent as %%25", name, hook.Clip(text))
	}
	return f.values.Get(name), f.values.Has(name), nil
}

// ReadJSON reads a request's body of JSON into a struct. Members that are not
// known are ignored. Errors, of CodeInvalid, say what is wrong with which
// member, in the words of JSON.
func ReadJSON(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return hook.Errorf(hook.CodeInvalid, "the body is empty: a JSON object is wanted")
	}
	err := json.Unmarshal(body, into)
	var unfit *json.SemanticError
	var broken *jsontext.SyntacticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unfit):
		return hook.Invalid(string(unfit.JSONPointer), "%s has to be %s, not %s", subject(unfit.JSONPointer), wanted(unfit.GoType), found(unfit.JSONKind))
	case errors.As(err, &broken) && errors.Is(err, jsontext.ErrDuplicateName):
		return hook.Invalid(string(broken.JSONPointer), "%s stands in the body twice", subject(broken.JSONPointer))
	case errors.As(err, &broken):
		return hook.Errorf(hook.CodeInvalid, "the body is not valid JSON from byte %d on", broken.ByteOffset+1)
	}
	return hook.Errorf(hook.CodeInvalid, "the body is not valid JSON: it ends too early")
}

// subject names what an error is about.
func subject(p jsontext.Pointer) string {
	if p == "" {
		return "the body"
	}
	return fmt.Sprintf("%q", hook.Clip(strings.TrimPrefix(string(p), "/")))
}

func wanted(t reflect.Type) string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == nil:
		return "something else"
	case t.Kind() == reflect.String:
		return "a text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice:
		return "a list"
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		return "an object"
	}
	return "a number"
}

func found(k jsontext.Kind) string {
	switch k {
	case '"':
		return "a text"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "true or false"
	case '0':
		return "a number"
	}
	return "what was sent"
}
