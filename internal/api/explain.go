package api

import (
	"fmt"
	"html"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"grapnel/internal/hook"
)

// What the API says of itself: its document, and what its problems mean. Both
// are open, and the same for everybody until the program changes.

// documentAge is for how many seconds a cache may take the document for fresh.
const documentAge = 300

// apiDocument is the OpenAPI document in an answer.
type apiDocument struct{}

func (*apiDocument) describe(*shapes) (*schema, string) {
	return &schema{Type: kinds{"object"}, Description: "An OpenAPI 3.1 document."}, `{"openapi":"3.1.0"}`
}

func (a *API) serveDocument(c *call) error {
	body, err := a.document()
	if err != nil {
		return err
	}
	c.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(documentAge))
	return c.read(body, tagOf(body))
}

// explainProblem serves what a problem's type points at: a page to a browser,
// text to those who ask for it, JSON to anybody else.
func (a *API) explainProblem(c *call) error {
	m, ok := meanings(hook.Code(c.r.PathValue("code")))
	if !ok {
		return hook.Errorf(hook.CodeNotFound, "there is no problem of this name")
	}
	c.Header().Set("Vary", "Accept")
	switch firstOf(c.r.Header.Get("Accept"), "application/json", "text/html", "text/plain") {
	case "text/html":
		c.Header().Set("Content-Type", "text/html; charset=utf-8")
		c.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		fmt.Fprintf(c, problemPage, html.EscapeString(m.title), m.status, html.EscapeString(string(m.code)), html.EscapeString(m.meaning), html.EscapeString(m.advice))
		return nil
	case "text/plain":
		c.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(c, "%s (%d %s)\n\n%s\n\nWhat to do: %s\n", m.title, m.status, m.code, m.meaning, m.advice)
		return nil
	}
	return c.answer(http.StatusOK, problemMeaning{problemType(m.code), m.title, m.status, m.meaning, m.advice})
}

const problemPage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%[1]s</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}</style></head>
<body><main><h1>%[1]s</h1><p><code>%[2]d %[3]s</code></p><h2>What has happened</h2><p>%[4]s</p><h2>What to do</h2><p>%[5]s</p></main></body></html>
`

// firstOf is the media type that comes first in an Accept header, of those on
// offer. Whoever takes anything gets the first on offer.
func firstOf(accept string, offered ...string) string {
	for part := range strings.SplitSeq(accept, ",") {
		kind, _, _ := mime.ParseMediaType(part)
		for _, o := range offered {
			if kind == o {
				return o
			}
		}
	}
	return offered[0]
}
