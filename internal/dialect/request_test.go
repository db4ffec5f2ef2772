package dialect_test

import (
	"errors"
	"strings"
	"testing"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// told is what a caller is told of an error.
func told(err error) string {
	var e *hook.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}

func TestParseForm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, raw, value, wrong string }{
		{"PS-M1 a value", "event=x&target_url=https%3A%2F%2Fa.example%2F%3Fb%3D1%26c%3D+%C3%BC", "https://a.example/?b=1&c= ü", ""},
		{"PS-M1 a semicolon stays", "target_url=https://a.example/b;c&event=x", "https://a.example/b;c", ""},
		{"PS-M1 one elsewhere too", "other=a;b&target_url=c", "c", ""},
		{"PS-M1 broken escapes elsewhere are nobody's", "a=%zz&%zz=b&target_url=c&d=%", "c", ""},
		{"PS-M1 a broken escape is told", "target_url=https://a.example/100%&event=x", "", `target_url has a percent sign that no two hexadecimal digits follow: "https://a.example/100%"; a percent sign itself is sent as %25`},
		{"the last counts", "target_url=%zz&target_url=a&target_url=b", "b", ""},
		{"an equals sign stays", "target_url=a=b", "a=b", ""},
		{"an empty one is given", "target_url", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			value, given, err := dialect.ParseForm(c.raw).Get("target_url")
			text := told(err)
			if !given || value != c.value || text != c.wrong || err != nil && hook.CodeOf(err) != hook.CodeInvalid {
				t.Errorf("%q, %t, %q", value, given, text)
			}
		})
	}
	for _, raw := range []string{"", "&&", "=x", "Target_url=x"} {
		if _, given, err := dialect.ParseForm(raw).Get("target_url"); given || err != nil {
			t.Errorf("%q: given, %v", raw, err)
		}
	}
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	type body struct {
		Event string  `json:"event"`
		Note  *string `json:"note"`
		List  []struct {
			Key string `json:"key"`
		} `json:"list"`
		Times int `json:"times"`
	}
	for in, want := range map[string]string{
		`{"event":"a","note":null,"more":{}}`: "",
		" \n":                                 "the body is empty: a JSON object is wanted",
		`[]`:                                  "the body has to be an object, not a list",
		`{"event":1}`:                         `"event" has to be a text, not a number`,
		`{"note":{}}`:                         `"note" has to be a text, not an object`,
		`{"list":{}}`:                         `"list" has to be a list, not an object`,
		`{"list":[{"key":true}]}`:             `"list/0/key" has to be a text, not true or false`,
		`{"times":"x"}`:                       `"times" has to be a number, not a text`,
		`{"event":"a","event":"b"}`:           `"event" stands in the body twice`,
		`{"event":}`:                          "the body is not valid JSON from byte 10 on",
		`{"event":"a"`:                        "the body is not valid JSON from byte 13 on",
		`{"event":"a"} x`:                     "the body is not valid JSON from byte 15 on",
	} {
		var into body
		err := dialect.ReadJSON([]byte(in), &into)
		text := told(err)
		if text != want || err != nil && hook.CodeOf(err) != hook.CodeInvalid {
			t.Errorf("%s: %q, want %q", in, text, want)
		}
		if strings.Contains(text, "Go ") {
			t.Errorf("%s: %s", in, text)
		}
	}
}
