package api2cart

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
)

// params are the parameters of a call by name, wherever they came. What is not
// a text in JSON is here as its JSON.
type params map[string]string

// read collects the parameters from the query and from the body, which goes
// first (A2-M2). A body may be a form of either kind or a JSON object.
func read(r *http.Request) (params, error) {
	p := params{}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, wrong("the query cannot be read: " + err.Error())
	}
	p.fill(query)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "multipart/form-data" {
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			return nil, unreadable(err)
		}
		p.fill(r.MultipartForm.Value)
		return p, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, unreadable(err)
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return p, nil
	}
	if body[0] == '{' { // no form begins like that, whatever the type says
		return p, p.fillJSON(body)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, wrong("the body cannot be read as a form: " + err.Error())
	}
	p.fill(form)
	return p, nil
}

func unreadable(err error) error {
	var e *hook.Error
	if errors.As(err, &e) {
		return e
	}
	return wrong("the body cannot be read")
}

// fill takes the last value of each name, as PHP does. Blanks around names do
// not count, for the source's URL is printed with one behind its "?" (A2-M1);
// the name without any goes first.
func (p params) fill(values url.Values) {
	for name, v := range values {
		if trimmed := strings.TrimSpace(name); trimmed == name || values[trimmed] == nil {
			p[trimmed] = v[len(v)-1]
		}
	}
}

func (p params) fillJSON(body []byte) error {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(body, &members); err != nil {
		return wrong("the body is not a JSON object: " + err.Error())
	}
	for name, v := range members {
		given := name
		if name = strings.TrimSpace(name); name != given && members[name] != nil {
			continue
		}
		var text string
		switch {
		case v.Kind() == 'n' && name != "filtering_conditions": // there it means "none"
		case v.Kind() == '"' && json.Unmarshal(v, &text) == nil:
			p[name] = text
		default:
			p[name] = string(v)
		}
	}
	return nil
}

// key is one of the two keys: a parameter, or the header of the newer document.
func (p params) key(name string, r *http.Request) hook.Secret {
	if v := p[name]; v != "" {
		return hook.Secret(v)
	}
	return hook.Secret(r.Header.Get("x-" + strings.ReplaceAll(name, "_", "-")))
}

// word is a parameter of one word; "" if it was not given.
func (p params) word(name string) string { return strings.TrimSpace(p[name]) }

// words is a parameter that lists words with commas between, or in JSON.
func (p params) words(name string) (out []string) {
	text := p[name]
	var values []jsontext.Value
	if strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &values) == nil {
		for _, v := range values {
			if word := strings.TrimSpace(strings.Trim(string(v), `"`)); word != "" {
				out = append(out, word)
			}
		}
		return out
	}
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			out = append(out, word)
		}
	}
	return out
}

// flag is a parameter that is true or false; nil if it was not given.
func (p params) flag(name string) (*bool, error) {
	text := strings.ToLower(p.word(name))
	if text == "" {
		return nil, nil
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return nil, wrong(name + " is true or false, 1 or 0")
	}
	return &v, nil
}

// The sizes of pages (A2-M7).
const (
	pageSize    = 10
	maxPageSize = 250
)

// page is which part of a list is asked for.
func (p params) page() (start, count int, err error) {
	if start, err = p.number("start", 0, 0); err != nil {
		return 0, 0, err
	}
	if count, err = p.number("count", pageSize, 1); err != nil {
		return 0, 0, err
	}
	if count > maxPageSize {
		return 0, 0, &refusal{codeTooMany, "count is at most " + strconv.Itoa(maxPageSize)}
	}
	return start, count, nil
}

func (p params) number(name string, missing, least int) (int, error) {
	text := p.word(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, wrong(name + " is a number from " + strconv.Itoa(least) + " on")
	}
	return n, nil
}

// members are named values in an order, as a JSON object.
type members []member

type member struct {
	name  string
	value any
}

// MarshalJSONTo writes them in their order.
func (m members) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, x := range m {
		if err := enc.WriteToken(jsontext.String(x.name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(enc, x.value); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// only keeps those that params chose; force_all stands for all of them.
func (m members) only(chosen []string) members {
	if slices.Contains(chosen, all) {
		return m
	}
	return slices.DeleteFunc(m, func(x member) bool { return !slices.Contains(chosen, x.name) })
}
