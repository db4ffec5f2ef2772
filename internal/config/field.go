package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// field is one setting of a Config: where it is, and what its tags say.
type field struct {
	index int
	name  string // as a flag has it, without dashes; "" for a secret, which has none
	tag   reflect.StructTag
}

// fields lists all settings in the order of the struct.
func fields() []field {
	t := reflect.TypeFor[Config]()
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Tag.Get("kong") != "-":
			out = append(out, field{i, flagName(f.Name), f.Tag})
		case f.Tag.Get("env") != "":
			out = append(out, field{i, "", f.Tag})
		}
	}
	return out
}

// flagName turns a field's name into its flag's: TLSCert into tls-cert.
func flagName(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// env is the environment variable that sets the field.
func (f field) env() string {
	if f.name == "" {
		return f.tag.Get("env")
	}
	return EnvName(f.name)
}

// EnvName is the environment twin of a setting: that of "tls-cert" is
// GRAPNEL_TLS_CERT.
func EnvName(setting string) string {
	return "GRAPNEL_" + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// fallback is the field's default as text.
func (f field) fallback(vars map[string]string) string {
	text := f.tag.Get("default")
	if name, ok := strings.CutPrefix(text, "${"); ok {
		return vars[strings.TrimSuffix(name, "}")]
	}
	return text
}

// of is the field's place in a configuration.
func (f field) of(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().Field(f.index) }

// list reports whether the field takes several values.
func (f field) list() bool {
	return reflect.TypeFor[Config]().Field(f.index).Type.Kind() == reflect.Slice
}

// set reads texts into the field: one, or any number for a list.
func (f field) set(c *Config, texts ...string) error {
	v := f.of(c)
	if f.list() {
		v.Set(reflect.ValueOf(append([]string(nil), texts...)))
		return nil
	}
	if len(texts) != 1 {
		return errors.New("takes one value")
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(texts[0]))
	}
	if v.Kind() == reflect.Int {
		n, err := strconv.Atoi(texts[0])
		if err != nil {
			return fmt.Errorf("%q is not a whole number", texts[0])
		}
		v.SetInt(int64(n))
		return nil
	}
	v.SetString(texts[0])
	return nil
}

// text is the field's value as it could be written.
func (f field) text(c *Config) string {
	v := f.of(c)
	if f.list() {
		return strings.Join(v.Interface().([]string), ",")
	}
	return fmt.Sprint(v.Interface())
}

// bounds says in words what the field may be.
func (f field) bounds() string {
	low, high := f.tag.Get("min"), f.tag.Get("max")
	switch {
	case f.tag.Get("range") != "": // where two numbers do not tell
		return f.tag.Get("range")
	case low != "" && high != "":
		return low + " to " + high
	case low != "":
		return low + " or more"
	case f.tag.Get("oneof") != "":
		return strings.ReplaceAll(f.tag.Get("oneof"), ",", ", ")
	}
	return reflectWords[reflect.TypeFor[Config]().Field(f.index).Type]
}

// reflectWords says what a type's values look like.
var reflectWords = map[reflect.Type]string{reflect.TypeFor[Rate](): "a number for each s, m or h, or off"}

// defaults fills a configuration from the tags.
func defaults(vars map[string]string) Config {
	var c Config
	for _, f := range fields() {
		if text := f.fallback(vars); text != "" {
			// The tags are right: a test reads them all.
			_ = f.set(&c, text)
		}
	}
	return c
}
