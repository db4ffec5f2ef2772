package propstack

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// hookInput is a hook as it is asked for (PS-M1, PS-M3).
type hookInput struct {
	TargetURL string `json:"target_url"`
	Event     string `json:"event"`
	SecretKey string `json:"secret_key"`
}

func (in hookInput) secret() *hook.Secret {
	if in.SecretKey == "" {
		return nil
	}
	s := hook.Secret(in.SecretKey)
	return &s
}

type (
	created struct {
		ID int64 `json:"id"`
	}
	hookList struct {
		Hooks []listed `json:"hooks"`
	}
	listed struct {
		ID        int64  `json:"id"`
		Event     string `json:"event"`
		TargetURL string `json:"target_url"`
	}
	removed struct {
		OK bool `json:"ok"`
	}
)

// names of what a hook is made of.
const (
	targetURL = "target_url"
	event     = "event"
	secretKey = "secret_key"
)

// readHook reads a hook from the query (PS-M1) and, where that does not say,
// from the body: a form or JSON (PS-M3). An empty body is none, whatever its
// type; one that cannot be read is no matter where the query says all.
func readHook(r *http.Request) (hookInput, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		if hook.CodeOf(err) == hook.CodeTooLarge {
			return hookInput{}, err
		}
		return hookInput{}, hook.Errorf(hook.CodeInvalid, "the body ended too early")
	}
	in, unread := readBody(r.Header.Get("Content-Type"), body)
	var e *hook.Error
	switch {
	case errors.As(unread, &e) && e.Field == "/"+secretKey: // rather than a hook that signs nothing
		return in, unread
	case unread != nil:
		in = hookInput{}
	}
	query, said := dialect.ParseForm(r.URL.RawQuery), map[string]bool{}
	for name, to := range in.fields() {
		value, given, err := query.Get(name)
		if err != nil {
			return in, err
		}
		if given {
			*to, said[name] = value, true
		}
	}
	if unread != nil && !(said[targetURL] && said[event]) {
		return in, unread
	}
	return in, nil
}

func (in *hookInput) fields() map[string]*string {
	return map[string]*string{targetURL: &in.TargetURL, event: &in.Event, secretKey: &in.SecretKey}
}

// readBody reads a hook from a body. What begins as a JSON object is one, no
// form does.
func readBody(contentType string, body []byte) (in hookInput, err error) {
	body = bytes.TrimSpace(body)
	kind, params, _ := mime.ParseMediaType(contentType)
	switch {
	case len(body) == 0:
		return in, nil
	case kind == "multipart/form-data":
		form, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).ReadForm(int64(len(body)))
		if err != nil {
			return in, hook.Errorf(hook.CodeInvalid, "the body cannot be read as multipart/form-data")
		}
		for name, to := range in.fields() {
			if v := form.Value[name]; len(v) > 0 {
				*to = v[len(v)-1]
			}
		}
		return in, form.RemoveAll()
	case body[0] == '{' || kind == "application/json":
		return in, dialect.ReadJSON(body, &in)
	}
	form := dialect.ParseForm(string(body))
	for name, to := range in.fields() {
		if *to, _, err = form.Get(name); err != nil {
			return in, err
		}
	}
	return in, nil
}
