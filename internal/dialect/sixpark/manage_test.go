package sixpark_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"grapnel/client"
	"grapnel/internal/testaid"
	"grapnel/internal/vendortest"
)

// webhook is the vendor's document of one, with nothing besides.
type webhook struct {
	Data struct {
		ID         string `json:"id"`
		Type       string `json:"type"`
		Attributes struct {
			URL            string `json:"url"`
			Description    string `json:"description"`
			SignatureToken string `json:"signature_token"`
		} `json:"attributes"`
		Links struct {
			Self string `json:"self"`
		} `json:"links"`
	} `json:"data"`
}

func headers(key string) []string {
	return []string{"Accept: application/json", "Authorization: Bearer " + key}
}

const form = "Content-Type: application/x-www-form-urlencoded"

// create makes a webhook as the vendor's example does.
func create(t testing.TB, s *vendortest.Server, key, to, description string) (w webhook) {
	t.Helper()
	a := s.Do("POST", "/api/v1/webhooks", append(headers(key), form), url.Values{"url": {to}, "description": {description}}.Encode())
	if a.Status != http.StatusCreated {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	read(t, a.Body, &w)
	return w
}

func read(t testing.TB, text string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

var (
	uuid   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	tokens = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

func TestManagement(t *testing.T) {
	t.Parallel()
	s := vendortest.Start(t)
	s.MakeTenant("acme", "sixpark")
	key := s.MakeKey("acme")
	w := create(t, s, key, "https://example.com/a?b=ü&c=d", "This is my webhook...")
	want := `{"data":{"id":"` + w.Data.ID + `","type":"webhook","attributes":{"url":"https://example.com/a?b=ü&c=d","description":"This is my webhook...",` +
		`"signature_token":"` + w.Data.Attributes.SignatureToken + `"},"links":{"self":"` + s.URL + "/api/v1/webhooks/" + w.Data.ID + `"}}}`

	t.Run("SP-M1 SP-M2 SP-M9 a form makes a webhook", func(t *testing.T) {
		if !uuid.MatchString(w.Data.ID) || w.Data.Links.Self != s.URL+"/api/v1/webhooks/"+w.Data.ID {
			t.Errorf("the id is %s, the link %s", w.Data.ID, w.Data.Links.Self)
		}
	})
	t.Run("SP-M3 the server makes the token", func(t *testing.T) {
		if !tokens.MatchString(w.Data.Attributes.SignatureToken) {
			t.Errorf("the token is %s", w.Data.Attributes.SignatureToken)
		}
		if other := create(t, s, key, "https://example.com", "x"); other.Data.Attributes.SignatureToken == w.Data.Attributes.SignatureToken {
			t.Error("two webhooks have the same token")
		}
	})
	for _, path := range []string{"/api/v1/webhooks/", "/api/v1/webhook/"} {
		t.Run("SP-M3 SP-M4 SP-M6 GET "+path, func(t *testing.T) {
			if a := s.Do("GET", path+w.Data.ID, headers(key), ""); a.Status != 200 || a.Body != want || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
				t.Errorf("got  %d %s\nwant 200 %s", a.Status, a.Body, want)
			}
		})
		t.Run("SP-M5 SP-M6 DELETE "+path, func(t *testing.T) {
			one := create(t, s, key, "https://example.com", "x")
			if a := s.Do("DELETE", path+one.Data.ID, headers(key), ""); a.Status != 204 || a.Body != "" || a.Header.Get("Content-Type") != "" {
				t.Errorf("%d %q %v", a.Status, a.Body, a.Header)
			}
			for _, method := range []string{"GET", "DELETE"} {
				wantError(t, s.Do(method, path+one.Data.ID, headers(key), ""), 404, "url_invalid")
			}
		})
	}
	t.Run("SP-M7 a webhook belongs to its owner", func(t *testing.T) {
		s.MakeTenant("other", "sixpark")
		for _, method := range []string{"GET", "DELETE"} {
			wantError(t, s.Do(method, "/api/v1/webhooks/"+w.Data.ID, headers(s.MakeKey("other")), ""), 404, "url_invalid")
		}
	})
	t.Run("SP-M7 there is no list and no update", func(t *testing.T) {
		wantError(t, s.Do("GET", "/api/v1/webhooks", headers(key), ""), 405, "method_not_allowed")
		wantError(t, s.Do("PUT", "/api/v1/webhooks/"+w.Data.ID, append(headers(key), form), "url=x"), 405, "method_not_allowed")
		wantError(t, s.Do("PATCH", "/api/v1/webhook/"+w.Data.ID, append(headers(key), form), "url=x"), 405, "method_not_allowed")
	})
	t.Run("one made elsewhere is seen here", func(t *testing.T) {
		e := s.MakeEndpoint("acme", client.EndpointInput{URL: client.Set("https://example.com"), Description: client.Set("native")})
		if !tokens.MatchString(e.Secret) {
			t.Errorf("the secret is %s", e.Secret)
		}
		found := false
		for have, err := range s.Endpoints(t.Context(), "acme") {
			if err != nil {
				t.Fatal(err)
			}
			found = found || have.URL == "https://example.com/a?b=ü&c=d" && have.Dialect == "sixpark"
		}
		if !found {
			t.Error("one made here is not seen elsewhere")
		}
	})
}

// wantError wants an error in the vendor's shape.
func wantError(t *testing.T, a vendortest.Answer, status int, code string) {
	t.Helper()
	var e struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Links   struct {
			Error string `json:"error"`
		} `json:"links"`
	}
	read(t, a.Body, &e)
	if a.Status != status || e.Code != code || e.Message == "" || !strings.Contains(e.Links.Error, "/v1/problems/") {
		t.Errorf("got %d %s, want %d %s", a.Status, a.Body, status, code)
	}
}

func TestSPM8Errors(t *testing.T) {
	t.Parallel()
	s := vendortest.Start(t)
	s.MakeTenant("acme", "sixpark")
	key := s.MakeKey("acme")
	good := append(headers(key), form)
	const body = "url=https%3A%2F%2Fexample.com&description=x"

	for send, fields := range map[string][]string{
		"":                                {"url", "description"},
		"url=https%3A%2F%2Fexample.com":   {"description"},
		"description=x":                   {"url"},
		"url=+&description=":              {"url", "description"},
		"url=ftp%3A%2F%2Fx&description=x": {"url"},
		"url=nothing&description=x":       {"url"},
		"description=x&url=https%3A%2F%2Fexample.com&description": nil,
	} {
		t.Run("SP-M1 SP-M8 422 "+send, func(t *testing.T) {
			a := s.Do("POST", "/api/v1/webhooks", good, send)
			if fields == nil {
				if a.Status != 201 {
					t.Errorf("%d %s", a.Status, a.Body)
				}
				return
			}
			var e struct {
				Code    string `json:"code"`
				Message string `json:"message"`
				Errors  []struct {
					Message string `json:"message"`
					Field   string `json:"field"`
				} `json:"errors"`
			}
			read(t, a.Body, &e)
			var got []string
			for _, f := range e.Errors {
				got = append(got, f.Field)
			}
			if a.Status != 422 || e.Code != "validation_failed" || !strings.HasPrefix(e.Message, "Validation failed due to ") || !slices.Equal(got, fields) {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	t.Run("SP-M8 400", func(t *testing.T) {
		wantError(t, s.Do("POST", "/api/v1/webhooks", good, "url=%zz&description=x"), 400, "bad_request")
	})
	t.Run("SP-M8 401", func(t *testing.T) {
		for _, h := range [][]string{nil, headers(""), headers("none"), headers(key + "x"), {"Authorization: Basic " + key}} {
			wantError(t, s.Do("POST", "/api/v1/webhooks", append(slices.Clone(h), form), body), 401, "unauthorized")
		}
	})
	t.Run("SP-M8 403", func(t *testing.T) {
		publish, err := s.CreateKey(t.Context(), client.KeyInput{Tenants: []string{"acme"}, Scopes: []string{client.ScopePublish}})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, s.Do("POST", "/api/v1/webhooks", append(headers(publish.Key), form), body), 403, "forbidden")
		wantError(t, s.Do("POST", "/api/v1/webhooks", append(headers(s.Admin), form), body), 403, "forbidden") // no owner
	})
	t.Run("SP-M8 404", func(t *testing.T) {
		wantError(t, s.Do("GET", "/api/v1/webhooks/330acf46d-ce50-4788-a219-1de5ae9ac484", headers(key), ""), 404, "url_invalid")
	})
	t.Run("SP-M8 406", func(t *testing.T) {
		for _, accept := range []string{"text/html", "application/xml", "application/json;q=0", "image/*",
			"application/json;q=0, */*", "*/*, application/json; q=0.0", "application/*;q=0, */*"} {
			wantError(t, s.Do("POST", "/api/v1/webhooks", []string{"Accept: " + accept, "Authorization: Bearer " + key, form}, body), 406, "not_acceptable")
		}
		for _, accept := range []string{"Accept:", "Accept: */*", "Accept: text/html, application/json;q=0.5", "Accept: application/vnd.api+json",
			"Accept: application/json, */*;q=0", "Accept: text/html;q=0, application/*", "Accept: application/json;q=0, application/json;q=0.1"} {
			if a := s.Do("POST", "/api/v1/webhooks", []string{accept, "Authorization: Bearer " + key, form}, body); a.Status != 201 {
				t.Errorf("%s: %d %s", accept, a.Status, a.Body)
			}
		}
	})
	t.Run("SP-M8 415", func(t *testing.T) {
		for _, media := range []string{"application/json", "multipart/form-data; boundary=x", ""} {
			wantError(t, s.Do("POST", "/api/v1/webhooks", append(headers(key), "Content-Type: "+media), body), 415, "unsupported_media_type")
		}
	})
}

// The calls as the vendor's page prints them, but for the address of the server
// and what stands in angle brackets. The page leaves out the backslashes that a
// shell wants at the ends of lines.
func TestSPM1DocumentedCalls(t *testing.T) {
	t.Parallel()
	testaid.Require(t, "curl")
	s := vendortest.Start(t)
	s.MakeTenant("acme", "sixpark")
	key := s.MakeKey("acme")
	printed, err := os.ReadFile("testdata/calls.txt")
	if err != nil {
		t.Fatal(err)
	}
	var id string
	want := []string{"201", "200", "204"}
	for i, call := range strings.Split(strings.TrimSpace(string(printed)), "\n\n") {
		call = strings.NewReplacer("https://app.sixpark.com.au", s.URL, "<access_token>", key, ":id", id, "https://...", "https://example.com", "\n", " \\\n").Replace(call)
		out, err := exec.CommandContext(t.Context(), "bash", "-c", call+` --silent --write-out '\n%{http_code}'`).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", call, err, out)
		}
		body, status, _ := strings.Cut(string(out), "\n")
		if status != want[i] {
			t.Errorf("%s: got %s %s, want %s", call, status, body, want[i])
		}
		switch i {
		case 0, 1:
			var w webhook
			read(t, body, &w)
			id = w.Data.ID
			if w.Data.Attributes.Description != "This is my webhook..." || w.Data.Attributes.URL != "https://example.com" {
				t.Errorf("the answer is %s", body)
			}
		case 2:
			if body != "" {
				t.Errorf("the answer has the body %s", body)
			}
		}
	}
}

// Moving in: webhooks keep their ids and tokens, and owners their access tokens.
func TestSPM4MovedWebhooksKeepIDsAndTokens(t *testing.T) {
	t.Parallel()
	s := vendortest.Start(t)
	tap := vendortest.NewTap(t, vendortest.PHP(t, "testdata/receiver.php", token))
	const id, key = "75fe2702-114a-401c-8a5f-61d9fa15e0eb", "old-access-token-0123456789"
	report, err := s.Import(t.Context(), []client.ImportRecord{
		{Kind: client.KindTenant, Tenant: "moved", Dialect: "sixpark"},
		{Kind: client.KindKey, Tenant: "moved", Key: key},
		{Tenant: "moved", Dialect: "sixpark", VendorID: id, URL: tap.URL, Description: "old", Secret: token},
	})
	if err != nil || report.Created != 3 {
		t.Fatalf("%+v %v", report, err)
	}
	a := s.Do("GET", "/api/v1/webhook/"+id, headers(key), "")
	var w webhook
	read(t, a.Body, &w)
	if a.Status != 200 || w.Data.ID != id || w.Data.Attributes.SignatureToken != token || w.Data.Attributes.Description != "old" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	s.Send("moved", client.Event{Type: "ACCOUNT_OPENED", Data: []byte(account)}, 1)
	if seen := tap.Wait(1)[0]; seen.Status != 200 || !strings.Contains(string(seen.Body), id) {
		t.Errorf("the old receiver answered %d to %s", seen.Status, seen.Body)
	}
	if a := s.Do("DELETE", "/api/v1/webhook/"+id, headers(key), ""); a.Status != 204 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	wantError(t, s.Do("GET", "/api/v1/webhooks/"+id, headers(key), ""), 404, "url_invalid")
}

// A UUID is the same in either case, and is written in lower case.
func TestSPM9IDsInEitherCase(t *testing.T) {
	t.Parallel()
	s := vendortest.Start(t)
	s.MakeTenant("acme", "sixpark")
	key := s.MakeKey("acme")
	ids := []string{"75FE2702-114A-401C-8A5F-61D9FA15E0EB", "ecb20ef1-A543-4ae5-9446-0661A882A616", create(t, s, key, "https://example.com", "x").Data.ID}
	e := s.MakeEndpoint("acme", client.EndpointInput{URL: client.Set("https://example.com"), VendorID: client.Set(ids[1])})
	if e.VendorID == nil || *e.VendorID != strings.ToLower(ids[1]) {
		t.Errorf("the endpoint is %+v", e)
	}
	record := client.ImportRecord{Tenant: "acme", VendorID: ids[0], URL: "https://example.com", Secret: token}
	lower := record
	lower.VendorID = strings.ToLower(ids[0])
	if r, err := s.Import(t.Context(), []client.ImportRecord{record, lower}); err != nil || r.Created != 1 || r.Unchanged != 1 || r.Results[0].VendorID != lower.VendorID {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := s.Import(t.Context(), []client.ImportRecord{record}); err != nil || r.Unchanged != 1 {
		t.Errorf("again: %+v %v", r, err)
	}
	for _, id := range ids {
		for _, asked := range []string{strings.ToUpper(id), strings.ToLower(id)} {
			a := s.Do("GET", "/api/v1/webhooks/"+asked, headers(key), "")
			if a.Status != 200 || strings.Count(a.Body, strings.ToLower(id)) != 2 {
				t.Errorf("%s: %d %s", asked, a.Status, a.Body)
			}
		}
		if a := s.Do("DELETE", "/api/v1/webhook/"+strings.ToUpper(id), headers(key), ""); a.Status != 204 {
			t.Errorf("%s: %d %s", id, a.Status, a.Body)
		}
	}
}
