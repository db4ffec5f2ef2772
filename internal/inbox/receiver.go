package inbox

import (
	"encoding/json"
	"io"
	"net/http"
)

// maxReply bounds the text of a reply that is set over HTTP.
const maxReply = 64 << 10

// Receiver serves several inboxes under one listener:
//
//	POST /_inbox/{name}            a webhook
//	GET  /_inbox/{name}            the requests that it got, newest first
//	GET  /_inbox/{name}/reply      how it answers
//	PUT  /_inbox/{name}/reply      change that
//
// Whoever reaches it can read and change all of it, so it belongs on a
// loopback address.
type Receiver struct{ byName map[string]*Inbox }

// NewReceiver makes a receiver of inboxes by their names.
func NewReceiver(inboxes ...*Inbox) *Receiver {
	r := &Receiver{byName: make(map[string]*Inbox, len(inboxes))}
	for _, b := range inboxes {
		r.byName[b.cfg.Name] = b
	}
	return r
}

// Path is where the inbox of a name takes webhooks in.
func Path(name string) string { return "/_inbox/" + name }

// Handler serves the receiver.
func (r *Receiver) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_inbox/{name}", r.with(func(b *Inbox, w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, struct {
			Data []*Request `json:"data"`
		}{b.Requests()})
	}))
	mux.HandleFunc("GET /_inbox/{name}/reply", r.with(func(b *Inbox, w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, b.Reply())
	}))
	mux.HandleFunc("PUT /_inbox/{name}/reply", r.with(putReply))
	mux.HandleFunc("/_inbox/{name}", r.with((*Inbox).ServeHTTP))
	return mux
}

func (r *Receiver) with(f func(*Inbox, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		b, ok := r.byName[req.PathValue("name")]
		if !ok {
			http.NotFound(w, req)
			return
		}
		f(b, w, req)
	}
}

func putReply(b *Inbox, w http.ResponseWriter, r *http.Request) {
	var reply Reply
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxReply))
	d.DisallowUnknownFields()
	if err := d.Decode(&reply); err != nil {
		http.Error(w, "the reply cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	if _, err := d.Token(); err != io.EOF {
		http.Error(w, "there is more than one JSON value", http.StatusBadRequest)
		return
	}
	if err := b.SetReply(reply); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	writeJSON(w, b.Reply())
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// The peer may have gone; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(v)
}
