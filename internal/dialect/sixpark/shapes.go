package sixpark

import (
	"net/http"

	"github.com/go-json-experiment/json"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// resource is a webhook as the vendor shows it (SP-M2).
type resource struct {
	Data struct {
		ID         string     `json:"id"`
		Type       string     `json:"type"`
		Attributes attributes `json:"attributes"`
		Links      struct {
			Self string `json:"self"`
		} `json:"links"`
	} `json:"data"`
}

type attributes struct {
	URL            string `json:"url"`
	Description    string `json:"description"`
	SignatureToken string `json:"signature_token"`
}

// document makes the answer of a webhook. Its id and its link name the same
// UUID (SP-M9), and the link is the plural one (SP-M6).
func document(c dialect.Control, e *hook.Endpoint, token hook.Secret) *resource {
	var r resource
	r.Data.ID, r.Data.Type = e.VendorID, "webhook"
	r.Data.Attributes = attributes{e.URL, e.Description, string(token)}
	r.Data.Links.Self = c.PublicURL() + "/api/v1/webhooks/" + e.VendorID
	return &r
}

// answer writes a value as JSON; nil is no body.
func answer(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.MarshalWrite(w, body) // the caller is gone, if anything
}
