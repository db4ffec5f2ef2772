package catalogue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"grapnel/internal/hook"
)

// maxDocument bounds a document that is read, in bytes.
const maxDocument = 16 << 20

// object is an object of a document.
type object = map[string]any

// document is a document that is read.
type document struct{ root any }

// parse reads JSON or YAML. Numbers stay as they are written in JSON.
func parse(raw []byte) (*document, error) {
	if len(raw) > maxDocument {
		return nil, hook.Errorf(hook.CodeTooLarge, "the document has %d bytes, at most %d are read", len(raw), maxDocument)
	}
	text := bytes.TrimSpace(raw)
	if !json.Valid(text) {
		var err error
		if text, err = yaml.YAMLToJSON(raw); err != nil {
			return nil, hook.Errorf(hook.CodeInvalid, "the document is neither JSON nor YAML: %s", firstLine(err.Error()))
		}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	d := &document{}
	if err := dec.Decode(&d.root); err != nil {
		return nil, hook.Errorf(hook.CodeInvalid, "the document cannot be read: %v", err)
	}
	return d, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// text is a member of an object that is text, else "".
func text(of any, name string) string {
	o, _ := of.(object)
	s, _ := o[name].(string)
	return s
}

// member is a member of an object, nil if there is none.
func member(of any, name string) any {
	o, _ := of.(object)
	return o[name]
}

// names are the names of an object's members, sorted.
func names(of any) []string {
	o, _ := of.(object)
	return slices.Sorted(maps.Keys(o))
}

// maxHops bounds how many references lead to one another.
const maxHops = 100

// follow is what a value stands for, with the pointer to it: itself, or what its $ref
// refers to.
func (d *document) follow(v any, at string) (any, string, error) {
	for range maxHops {
		ref := text(v, "$ref")
		if ref == "" {
			return v, at, nil
		}
		var err error
		if at, err = local(ref); err != nil {
			return nil, "", err
		}
		if v, err = d.find(at); err != nil {
			return nil, "", err
		}
	}
	return nil, "", hook.Errorf(hook.CodeInvalid, "the reference %s leads in a circle", hook.Clip(at))
}

// local is the JSON Pointer of a reference into the document.
func local(ref string) (string, error) {
	fragment, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return "", hook.Errorf(hook.CodeInvalid, "the document refers to %s, and other documents are not fetched: bundle them into one first", hook.Clip(ref))
	}
	pointer, err := url.PathUnescape(fragment)
	if err != nil || pointer != "" && pointer[0] != '/' {
		return "", hook.Errorf(hook.CodeInvalid, "the reference %s is no JSON Pointer", hook.Clip(ref))
	}
	return pointer, nil
}

// find is what a JSON Pointer points at.
func (d *document) find(pointer string) (any, error) {
	v := d.root
	if pointer == "" {
		return v, nil
	}
	for part := range strings.SplitSeq(pointer[1:], "/") {
		name := unescape(part)
		switch within := v.(type) {
		case object:
			next, ok := within[name]
			if !ok {
				return nil, hook.Errorf(hook.CodeInvalid, "the document refers to #%s, which is not there", hook.Clip(pointer))
			}
			v = next
		case []any:
			i := -1
			if n, err := fmt.Sscanf(name, "%d", &i); n != 1 || err != nil || i < 0 || i >= len(within) {
				return nil, hook.Errorf(hook.CodeInvalid, "the document refers to #%s, which is not there", hook.Clip(pointer))
			}
			v = within[i]
		default:
			return nil, hook.Errorf(hook.CodeInvalid, "the document refers to #%s, which is not there", hook.Clip(pointer))
		}
	}
	return v, nil
}

func escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

func unescape(part string) string {
	return strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
}
