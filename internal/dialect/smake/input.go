package smake

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// given is what a client sends to make or change a webhook, in either version.
// What is not here is ignored, as the vendor ignores it.
type given struct {
	URL         *string        `json:"url"`
	Token       jsontext.Value `json:"token"`       // null or "" takes it away
	EventTypes  *[]event       `json:"event_types"` // 2021-02-23
	Events      *[]event       `json:"events"`      // 2022-02-01
	Description jsontext.Value `json:"description"` // {"en": "…"}, or the text itself
	Version     *string        `json:"version"`
	State       *string        `json:"state"`
}

// parse reads a body. A value of another kind than the field has is an error
// about the field.
func parse(body []byte) (given, error) {
	var in given
	if len(bytes.TrimSpace(body)) == 0 {
		return in, nil // every field is missing
	}
	err := json.Unmarshal(body, &in)
	var wrong *json.SemanticError
	switch {
	case errors.As(err, &wrong) && wrong.JSONPointer != "":
		field := dotted(string(wrong.JSONPointer))
		return in, invalid{field: {fmt.Sprintf("The %s has the wrong type.", field)}}
	case err != nil:
		return in, hook.Errorf(hook.CodeInvalid, "%s", unreadable(body, err))
	}
	return in, nil
}

// unreadable says what is wrong with a body as a whole.
func unreadable(body []byte, err error) string {
	var at *jsontext.SyntacticError
	switch {
	case bytes.HasPrefix(body, []byte("\ufeff")):
		return "The body begins with a byte order mark: send it without one."
	case !utf8.Valid(body):
		return "The body is not in UTF-8."
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &at):
		return fmt.Sprintf("The body has the member %s twice: send it once.", hook.Clip(dotted(string(at.JSONPointer))))
	case jsontext.Value(body).IsValid():
		return "The body is JSON, but no object: send an object."
	}
	return "The body is not JSON: send Content-Type: application/json and an object."
}

// input makes of it what to make of a webhook, which is e if there is one
// already. All that is wrong is told at once.
func (c *call) input(in given, e *hook.Endpoint) (dialect.HookInput, error) {
	wrong := invalid{}
	out := dialect.HookInput{URL: in.URL}
	if in.URL == nil && e == nil || in.URL != nil && strings.TrimSpace(*in.URL) == "" {
		wrong.add("url", "The url field is required.")
	}
	out.EventTypes = c.chosen(in, e == nil, wrong)
	if token, ok := text(in.Token, "token", wrong); ok {
		if secret := hook.Secret(token); e != nil || token != "" {
			out.Secret = &secret
		}
	}
	if d, ok := described(in.Description, wrong); ok {
		out.Description = &d
	}
	if in.Version != nil {
		if !isLabel(*in.Version) {
			wrong.add("version", "The version must be a text of at most 32 printable characters.")
		}
		settings := map[string]string{}
		if e != nil {
			settings = maps.Clone(e.Settings)
		}
		if settings == nil {
			settings = map[string]string{}
		}
		settings[versionSetting] = *in.Version
		out.Settings = &settings
	}
	if in.State != nil {
		active := *in.State == active
		if !active && *in.State != inactive {
			wrong.add("state", "The selected state is invalid: it is active or inactive.")
		}
		out.Active = &active
	}
	if len(wrong) > 0 {
		return out, wrong
	}
	return out, nil
}

// isLabel reports whether a text is one that fits on a line.
func isLabel(s string) bool {
	return utf8.RuneCountInString(s) <= 32 && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// chosen are the names of the events that were chosen, nil if nothing was said
// of them.
func (c *call) chosen(in given, required bool, wrong invalid) *[]string {
	field, events := "event_types", in.EventTypes
	if c.later() {
		field, events = "events", in.Events
	}
	if events == nil && in.EventTypes != nil { // a client of one version that sends the other's word
		field, events = "event_types", in.EventTypes
	} else if events == nil && in.Events != nil {
		field, events = "events", in.Events
	}
	c.word = field
	if events == nil && !required {
		return nil
	}
	if events == nil || len(*events) == 0 {
		wrong.add(field, "The "+field+" field is required.")
		return nil
	}
	known := c.control.Types()
	var names []string
	for i, e := range *events {
		if e.Name == "" { // chosen by the id that answers show
			for _, name := range known {
				if c.place(name) == e.ID {
					e.Name = name
				}
			}
		}
		if !slices.Contains(known, e.Name) {
			at := fmt.Sprintf("%s.%d.name", field, i)
			wrong.add(at, "The selected "+at+" is invalid.")
		}
		if !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	return &names
}

// described is the text of a description; ok is false if there is none.
func described(raw jsontext.Value, wrong invalid) (string, bool) {
	if raw.Kind() != '{' {
		return text(raw, "description", wrong)
	}
	var texts map[string]jsontext.Value
	if err := json.Unmarshal(raw, &texts); err != nil {
		wrong.add("description", "The description must be an object with the text en.")
	}
	for language := range texts {
		if language != "en" {
			wrong.add("description."+language, "The description is kept in en alone.")
		}
	}
	return text(texts["en"], "description.en", wrong)
}

// text reads a text that may be null, which is "". ok is false if there is
// nothing.
func text(raw jsontext.Value, field string, wrong invalid) (s string, ok bool) {
	if raw == nil {
		return "", false
	}
	var t *string
	if err := json.Unmarshal(raw, &t); err != nil {
		wrong.add(field, "The "+field+" must be a string.")
		return "", false
	}
	if t == nil {
		return "", true
	}
	return *t, true
}
