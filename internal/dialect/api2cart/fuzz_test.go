package api2cart

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
)

// Whatever a client gives as conditions is refused in the vendor's terms, or
// becomes a tree and is shown again as it was given.
func FuzzConditions(f *testing.F) {
	f.Add(`{"field":"price","operator":"gt","value":10.50}`)
	f.Add(`{"and":[{"field":"id","operator":"in","value":["86",87]},{"not":{"field":"name","operator":"like","value":"demo\\_%"}}]}`)
	f.Add(`{"field":"a","field":"b","operator":"eq","value":1}`)
	f.Add(" null ")
	f.Fuzz(func(t *testing.T, text string) {
		tree, err := conditions(text)
		var r *refusal
		if err != nil {
			if !errors.As(err, &r) || r.code != codeParameters {
				t.Fatalf("%v", err)
			}
			return
		}
		e := &hook.Endpoint{Filter: tree, Settings: map[string]string{settingFilter: keepable(text, tree)}}
		shown, err := json.Marshal(said(e))
		if err != nil {
			t.Fatal(err)
		}
		if elsewhere := (&hook.Endpoint{Filter: tree}); len(tree) > 0 {
			again, err := conditions(string(said(elsewhere)))
			if err != nil || string(again) != string(tree) {
				t.Fatalf("%s becomes %s, %v", tree, again, err)
			}
		}
		want := jsontext.Value(strings.TrimSpace(text))
		if len(tree) == 0 {
			want = jsontext.Value("null")
		}
		if err := want.Compact(); err != nil {
			t.Fatal(err)
		}
		if len(want) <= maxKept && string(shown) != string(want) {
			t.Fatalf("shown %s, given %s", shown, want)
		}
	})
}

// Whatever is sent as parameters is read or refused in the vendor's terms.
func FuzzRead(f *testing.F) {
	f.Add("api_key=a&%20store_key=b", "application/x-www-form-urlencoded", "entity=product&fields=id,name")
	f.Add("", "application/json", `{"ids":[1,"2"],"active":true,"label":null,"filtering_conditions":null}`)
	f.Add("", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n")
	f.Fuzz(func(t *testing.T, query, kind, body string) {
		req := httptest.NewRequest("POST", "/v1.1/webhook.list.json", strings.NewReader(body))
		req.URL.RawQuery = query
		req.Header.Set("Content-Type", kind)
		p, err := read(req)
		var r *refusal
		if err != nil && !errors.As(err, &r) {
			t.Fatalf("%v", err)
		}
		p.words("ids")
		w := httptest.NewRecorder()
		if refuse(w, wrong(p["entity"])); !strings.HasPrefix(w.Body.String(), `{"return_code":109,`) {
			t.Fatalf("%s", w.Body)
		}
	})
}
