package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/testaid"
)

func TestDocumentIsFresh(t *testing.T) {
	t.Parallel()
	text, err := api.OpenAPI("devel")
	must(t, err)
	testaid.Fresh(t, "../../docs/openapi.json", string(text)+"\n")
}

func TestErrorsPageIsFresh(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# Errors\n\nMade from `internal/api` by `make generate`.\n\n" +
		"An error is a problem in the sense of RFC 9457, `application/problem+json`. Its `type` is an\naddress on the server that explains it, to a browser as a page:\n\n" +
		"```json\n" + `{
  "type": "/v1/problems/invalid",
  "title": "Invalid request",
  "status": 400,
  "detail": "/url is missing",
  "instance": "req_2v6c0q8d1k",
  "errors": [{"pointer": "/url", "detail": "is missing"}]
}` + "\n```\n\n`instance` is the request's id, which is in the server's log and in the header `Request-Id`.\n\n| status | type | |\n|---|---|---|\n")
	for _, p := range api.Problems() {
		fmt.Fprintf(&b, "| %d | [`%s`](#%s) | %s |\n", p.Status, p.Code, p.Code, p.Title)
	}
	for _, p := range api.Problems() {
		fmt.Fprintf(&b, "\n## %s\n\n**%d %s.** %s\n\n*What to do:* %s\n", p.Code, p.Status, p.Title, p.Meaning, p.Advice)
	}
	testaid.Fresh(t, "../../docs/errors.md", b.String())
}

func TestDocumentIsServed(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) { c.Program = "v9.9.9" })
	a := b.want(http.StatusOK, "GET", "/v1/openapi.json", "", as(""))
	var doc struct {
		OpenAPI string
		Info    struct{ Version string }
	}
	must(t, json.Unmarshal([]byte(a.body), &doc))
	if doc.OpenAPI != "3.1.0" || doc.Info.Version != "v9.9.9" || !strings.Contains(a.header.Get("Cache-Control"), "max-age") {
		t.Errorf("%+v, %v", doc, a.header)
	}
	if again := b.want(http.StatusNotModified, "GET", "/v1/openapi.json", "", as(""), "If-None-Match: "+a.header.Get("ETag")); again.body != "" {
		t.Error(again.body)
	}
}

// The type of a problem resolves, in the form that the caller reads.
func TestProblemPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/json, text/html": "application/json", "image/png": "application/json",
		"text/html,application/xhtml+xml,*/*;q=0.8": "text/html; charset=utf-8", "text/plain": "text/plain; charset=utf-8",
	} {
		for _, p := range api.Problems() {
			a := b.want(http.StatusOK, "GET", "/v1/problems/"+string(p.Code), "", as(""), "Accept: "+accept)
			if a.header.Get("Content-Type") != want || !strings.Contains(a.body, p.Title) || !strings.Contains(a.body, fmt.Sprint(p.Status)) {
				t.Errorf("Accept %q: %v %s", accept, a.header, a.body)
			}
		}
	}
}

// Every code that a caller may be told of is in the catalogue, once.
func TestCatalogueIsComplete(t *testing.T) {
	t.Parallel()
	in := map[hook.Code]bool{}
	status := 0
	for _, p := range api.Problems() {
		if in[p.Code] || p.Status < status || p.Title == "" || p.Meaning == "" || p.Advice == "" {
			t.Errorf("%+v", p)
		}
		in[p.Code], status = true, p.Status
	}
	for _, code := range []hook.Code{
		hook.CodeInvalid, hook.CodeUnauthorized, hook.CodeForbidden, hook.CodeNotFound, hook.CodeConflict, hook.CodeMismatch, hook.CodeUnfit, hook.CodeTooLarge,
		hook.CodeRateLimited, hook.CodeUnavailable, hook.CodeInternal, manage.CodeUnsuitable, manage.CodePrecondition,
	} {
		if !in[code] {
			t.Errorf("%s is not in the catalogue", code)
		}
	}
}

// Everything in the document is explained: operations, parameters, members.
func TestDocumentSaysEverything(t *testing.T) {
	t.Parallel()
	text, err := api.OpenAPI("test")
	must(t, err)
	var doc struct {
		Paths      map[string]map[string]json.RawMessage
		Webhooks   map[string]any
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Ref         string `json:"$ref"`
					Description string
				}
			}
			Parameters map[string]struct{ Description string }
			Headers    map[string]struct{ Description string }
		}
	}
	must(t, json.Unmarshal(text, &doc))
	for name, s := range doc.Components.Schemas {
		for member, p := range s.Properties {
			if p.Description == "" && p.Ref == "" && !(strings.HasSuffix(name, "Event") && member == "type") {
				t.Errorf("%s.%s is not explained: give the field a doc tag", name, member)
			}
		}
	}
	for _, n := range manage.Notices() {
		if doc.Webhooks[n.Type] == nil {
			t.Errorf("the notice %s is not among the webhooks", n.Type)
		}
	}
	for name, p := range doc.Components.Parameters {
		if p.Description == "" {
			t.Errorf("the parameter %s is not explained", name)
		}
	}
	names := map[string]string{}
	for path, item := range doc.Paths {
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			var op struct {
				OperationID, Summary string
				Parameters           []struct{ Name, Description string }
			}
			must(t, json.Unmarshal(raw, &op))
			if op.OperationID == "" || op.Summary == "" || names[op.OperationID] != "" {
				t.Errorf("%s %s: name %q, summary %q; %s has the name too", method, path, op.OperationID, op.Summary, names[op.OperationID])
			}
			names[op.OperationID] = method + " " + path
			for _, p := range op.Parameters {
				if p.Name != "" && p.Description == "" {
					t.Errorf("%s %s: the parameter %s is not explained", method, path, p.Name)
				}
			}
		}
	}
}
