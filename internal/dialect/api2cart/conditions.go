package api2cart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// filtering_conditions are the tree of internal/filter with two differences:
// it is at most 5 levels deep, and a field is named without "data." (A2-M12).
// Bodies show identifiers as texts, whatever was published, so a condition
// about one takes numbers and texts for the same.
const maxDepth = 5

var operators = []string{"eq", "neq", "in", "not_in", "like", "not_like", "lt", "lte", "gt", "gte"}

// conditions makes the native tree of the vendor's; an empty one of none.
func conditions(text string) ([]byte, error) {
	if text = strings.TrimSpace(text); text == "" || text == "null" {
		return []byte{}, nil
	}
	v, err := decode([]byte(text))
	if err != nil || !jsontext.Value(text).IsValid() { // which refuses a name that is there twice
		return nil, wrong("filtering_conditions are not JSON")
	}
	if err := native(v, "filtering_conditions", maxDepth); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// native checks a level of the vendor's tree and makes it ours, in place.
func native(v any, at string, depth int) error {
	level, ok := v.(map[string]any)
	if !ok || depth == 0 {
		return wrong(fmt.Sprintf("%s: want an object, and no more than %d levels of them", at, maxDepth))
	}
	if _, ok := level["field"]; ok {
		return nativeCondition(level, at)
	}
	if len(level) != 1 {
		return wrong(at + ": want exactly one of and, or, not, or field, operator and value")
	}
	for name, inner := range level {
		at += "." + name
		kids, many := inner.([]any)
		switch {
		case name == "not":
			return native(inner, at, depth-1)
		case name != "and" && name != "or":
			return wrong(at + ": want and, or, not, or field, operator and value")
		case !many || len(kids) == 0:
			return wrong(at + ": want a list of conditions")
		}
		for i, kid := range kids {
			if err := native(kid, at+"."+strconv.Itoa(i), depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}

func nativeCondition(c map[string]any, at string) error {
	field, _ := c["field"].(string)
	operator, _ := c["operator"].(string)
	_, given := c["value"]
	switch {
	case len(c) > 3 || !given:
		return wrong(at + ": a condition has field, operator and value")
	case field == "":
		return wrong(at + ": field is a path such as price or customer.email")
	case !slices.Contains(operators, operator):
		return wrong(at + ": operator is one of " + strings.Join(operators, ", "))
	}
	c["field"] = "data." + field
	if dialect.IsID(field[strings.LastIndexByte(field, '.')+1:]) {
		c["as"] = "id"
	}
	return nil
}

// maxKept is the longest text that is kept of conditions, to be shown as they
// were given. Longer ones are shown as they are evaluated.
const maxKept = 4096

// keepable is what is kept of a text that made a tree; "" for none.
func keepable(text string, tree []byte) string {
	v := jsontext.Value(strings.TrimSpace(text))
	if len(tree) == 0 || v.Compact() != nil || len(v) > maxKept {
		return ""
	}
	return string(v)
}

// said is the filter of a webhook as filtering_conditions: as they were given,
// or what says the same as a filter that was set elsewhere. nil: it has none, or
// one that they cannot say.
func said(e *hook.Endpoint) jsontext.Value {
	if len(e.Filter) == 0 {
		return nil
	}
	if text := e.Settings[settingFilter]; text != "" {
		if tree, err := conditions(text); err == nil && bytes.Equal(tree, e.Filter) {
			return jsontext.Value(text)
		}
	}
	v, err := decode(e.Filter)
	if err != nil {
		return nil
	}
	whole, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	unprefix(v)
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	if tree, err := conditions(string(text)); err != nil || !bytes.Equal(tree, whole) {
		return nil // a field of the metadata, for one
	}
	return text
}

// unprefix undoes native, in place.
func unprefix(v any) {
	switch v := v.(type) {
	case []any:
		for _, kid := range v {
			unprefix(kid)
		}
	case map[string]any:
		if field, ok := v["field"].(string); ok {
			v["field"] = strings.TrimPrefix(field, "data.")
			delete(v, "as")
			return
		}
		for _, inner := range v {
			unprefix(inner)
		}
	}
}

func decode(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err = d.Decode(&v); err == nil && d.More() {
		err = fmt.Errorf("more than one value")
	}
	return v, err
}
