package propstack

import (
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"

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

// readHook reads a hook from the query (PS-M1) and, where that does not say,
// from the body: a form or JSON (PS-M3).
func readHook(r *http.Request) (in hookInput, err error) {
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind {
	case "application/x-www-form-urlencoded":
		err = r.ParseForm()
	case "multipart/form-data":
		err = r.ParseMultipartForm(1 << 20)
	case "application/json":
		err = json.UnmarshalRead(r.Body, &in)
	}
	switch {
	case hook.CodeOf(err) == hook.CodeTooLarge:
		return in, err
	case err != nil:
		return in, hook.Errorf(hook.CodeInvalid, "the body cannot be read: %v", err)
	}
	query := r.URL.Query()
	for name, to := range map[string]*string{"target_url": &in.TargetURL, "event": &in.Event, "secret_key": &in.SecretKey} {
		if r.PostForm.Has(name) {
			*to = r.PostForm.Get(name)
		}
		if query.Has(name) {
			*to = query.Get(name)
		}
	}
	return in, nil
}
