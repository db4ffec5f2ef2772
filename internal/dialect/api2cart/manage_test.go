package api2cart_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"grapnel/client"
	"grapnel/internal/vendortest"
)

// shop is a tenant of a server, with an old client's way to call.
type shop struct {
	*vendortest.Server
	t                *testing.T
	apiKey, storeKey string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	srv := vendortest.Start(t)
	key := srv.MakeTenant("acme", "api2cart")
	return &shop{Server: srv, t: t, apiKey: srv.MakeKey("acme"), storeKey: key}
}

// keys are the two keys as parameters.
func (s *shop) keys() string {
	return "api_key=" + url.QueryEscape(s.apiKey) + "&store_key=" + url.QueryEscape(s.storeKey)
}

// want calls a path, to whose query the keys are added, and wants a body.
func (s *shop) want(method, path, body, want string, header ...string) {
	s.t.Helper()
	got := s.Do(method, s.with(path), header, body)
	if got.Status != 200 || got.Body != want {
		s.t.Errorf("%s %s %s:\n got %d %s\nwant 200 %s", method, path, body, got.Status, got.Body, want)
	}
	if kind := got.Header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
		s.t.Errorf("%s %s: content type %q", method, path, kind)
	}
}

func (s *shop) with(path string) string {
	if strings.Contains(path, "?") {
		return path + "&" + s.keys()
	}
	return path + "?" + s.keys()
}

// refused calls a path and wants a return code, and a message that says more.
func (s *shop) refused(method, path, body string, code int, message string) {
	s.t.Helper()
	s.wantCode(s.Do(method, s.with(path), nil, body), method+" "+path+" "+body, code, message)
}

func (s *shop) wantCode(got vendortest.Answer, what string, code int, message string) {
	s.t.Helper()
	var e struct {
		Code    int             `json:"return_code"`
		Message string          `json:"return_message"`
		Result  json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal([]byte(got.Body), &e); err != nil || got.Status != 200 || e.Code != code || !strings.Contains(e.Message, message) || string(e.Result) != "{}" {
		s.t.Errorf("%s: %d %s, want code %d and %q", what, got.Status, got.Body, code, message)
	}
}

// endpoints are the tenant's, as the native API lists them.
func (s *shop) endpoints() (out []*client.Endpoint) {
	s.t.Helper()
	for e, err := range s.Endpoints(s.t.Context(), "acme") {
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

const (
	create = "/v1.1/webhook.create.json?entity=product&action=add&callback=http%3A%2F%2Fexmple.com"
	form   = "Content-Type: application/x-www-form-urlencoded"
	inJSON = "Content-Type: application/json"
)

func ok(result string) string { return `{"return_code":0,"return_message":"","result":` + result + `}` }

func TestCreate(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	t.Run("A2-M1 A2-M3 the source's URL, pasted", func(t *testing.T) {
		s.t = t
		path := "/v1.0/webhook.create.json?" + s.keys() + "&entity=product&action=add&callback=http%3A%2F%2Fexmple.com&label=super_webhook&fields=id,name"
		if got := s.Do("GET", path, nil, ""); got.Status != 200 || got.Body != ok(`{"id":"1"}`) {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		if got := s.Do("POST", strings.Replace(path, "id,name", "id%2Cname", 1), nil, ""); got.Body != ok(`{"id":"2"}`) {
			t.Errorf("%s", got.Body)
		}
		for _, e := range s.endpoints() {
			if e.URL != "http://exmple.com" || e.Description != "super_webhook" || e.Dialect != "api2cart" || !slices.Equal(e.EventTypes, []string{"product.add"}) || !slices.Equal(e.Fields, []string{"id", "name"}) || e.State != client.Active {
				t.Errorf("%+v", e)
			}
		}
	})
	t.Run("A2-M1 blanks, as they are printed", func(t *testing.T) {
		s := newShop(t)
		// In the source: one behind the "?", and one behind the store_key. A client
		// writes them as %20 or as +, for a request line can hold none.
		printed := "? api_key=" + s.apiKey + "&store_key=" + s.storeKey + " &entity=product&action=add&callback=http%3A%2F%2Fexmple.com&label=super_webhook&fields=id,name"
		for i, blank := range []string{"%20", "+"} {
			if got := s.Do("GET", "/v1.0/webhook.create.json"+strings.ReplaceAll(printed, " ", blank), nil, ""); got.Status != 200 || got.Body != ok(fmt.Sprintf(`{"id":"%d"}`, i+1)) {
				t.Errorf("%d %s", got.Status, got.Body)
			}
		}
		for _, in := range []struct{ header, query, body string }{
			{form, "", "%20api_key=+" + s.apiKey + "+&store_key+=" + s.storeKey + "%20"},
			{inJSON, "", `{" api_key":" ` + s.apiKey + ` ","store_key ":" ` + s.storeKey + `"}`},
			{form, "?%20api_key=none&api_key=" + s.apiKey + "&api_key%20=none&store_key=" + s.storeKey, ""},
		} {
			if got := s.Do("POST", "/v1.1/webhook.count.json"+in.query, []string{in.header}, in.body); got.Body != ok(`{"webhook_count":2}`) {
				t.Errorf("%s%s: %s", in.query, in.body, got.Body)
			}
		}
		blank := &shop{Server: s.Server, t: t, apiKey: s.apiKey, storeKey: " a key with blanks "}
		if _, err := s.PutTenant(t.Context(), "blank", client.TenantInput{Secret: client.Set(blank.storeKey), Dialect: client.Set("api2cart")}); err != nil {
			t.Fatal(err)
		}
		blank.apiKey = s.MakeKey("blank")
		blank.want("GET", "/v1.1/webhook.count.json", "", ok(`{"webhook_count":0}`))
	})
	t.Run("A2-M2 every place for parameters and keys", func(t *testing.T) {
		s.t = t
		both := []string{"x-api-key: " + s.apiKey, "x-store-key: " + s.storeKey}
		for i, c := range []struct {
			method, version, query, body string
			header                       []string
		}{
			{"POST", "v1.0", "?" + s.keys(), "entity=order&action=add&callback=http%3A%2F%2Fexmple.com", []string{form}},
			{"POST", "v1.1", "", s.keys() + "&entity=order&action=add&callback=http%3A%2F%2Fexmple.com", []string{form}},
			{"POST", "v1.1", "", `{"entity":"order","action":"add","callback":"http://exmple.com","active":true,"lang_id":3,"label":null}`, append(both, inJSON)},
			{"POST", "v1.0", "", `{"entity":"order","action":"add","callback":"http://exmple.com"}`, both},
			{"POST", "v1.1", "", "--b\r\nContent-Disposition: form-data; name=\"entity\"\r\n\r\norder\r\n--b\r\nContent-Disposition: form-data; name=\"action\"\r\n\r\nadd\r\n" +
				"--b\r\nContent-Disposition: form-data; name=\"callback\"\r\n\r\nhttp://exmple.com\r\n--b--\r\n", append(both, "Content-Type: multipart/form-data; boundary=b")},
			{"GET", "v1.1", "?%20api_key=" + s.apiKey + "&store_key=" + s.storeKey + "&%20entity=order&action=add&callback=http%3A%2F%2Fexmple.com", "", nil},
		} {
			want := fmt.Sprint(i + 3)
			if c.version == "v1.0" {
				want = `"` + want + `"`
			}
			got := s.Do(c.method, "/"+c.version+"/webhook.create.json"+c.query, c.header, c.body)
			if got.Status != 200 || got.Body != ok(`{"id":`+want+`}`) {
				t.Errorf("%d: %d %s, want the id %s", i, got.Status, got.Body, want)
			}
		}
	})
	t.Run("A2-M5 defaults", func(t *testing.T) {
		s.t = t
		for version, fields := range map[string]string{"v1.0": "id", "v1.1": "force_all"} {
			a := s.Do("POST", s.with("/"+version+"/webhook.create.json?entity=customer&action=update&callback=https://a.example/"+version), nil, "").JSON(t).(map[string]any)
			id := fmt.Sprint(a["result"].(map[string]any)["id"])
			s.want("GET", "/v1.1/webhook.list.json?params=fields,active,label,store_id,callback&ids="+id, "",
				ok(`{"webhook":[{"label":"","store_id":"1","active":true,"callback":"https://a.example/`+version+`","fields":"`+fields+`"}]}`))
		}
	})
	t.Run("A2-M4 A2-M5 all that can be set", func(t *testing.T) {
		s.t = t
		a := s.Do("POST", s.with("/v1.1/webhook.create.json"), []string{inJSON}, `{"entity":"order","action":"update","callback":"https://a.example/all","label":"L/ü","fields":"id, total.amount","store_id":3,
			"active":false,"lang_id":"7","response_fields":"{id}"}`).JSON(t).(map[string]any)
		id := fmt.Sprint(a["result"].(map[string]any)["id"])
		e := s.endpoints()
		last := e[slices.IndexFunc(e, func(e *client.Endpoint) bool { return e.URL == "https://a.example/all" })]
		stamp := func(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05+0000") }
		s.want("GET", "/v1.1/webhook.list.json?params=force_all&ids="+id, "", ok(`{"webhook":[{"id":`+id+`,"label":"L/ü","store_id":"3","active":false,"callback":"https://a.example/all",`+
			`"fields":"id,total.amount","created_at":"`+stamp(last.CreatedAt)+`","updated_at":"`+stamp(last.UpdatedAt)+`","entity":"order","action":"update","lang_id":"7","response_fields":"{id}","filtering_conditions":null}]}`))
		if last.State != client.Paused || last.Settings["store_id"] != "3" {
			t.Errorf("%+v", last)
		}
	})
	t.Run("A2-M5 A2-M6 A2-M11 what is refused", func(t *testing.T) {
		s.t = t
		before := len(s.endpoints())
		s.refused("POST", "/v1.1/webhook.create.json?action=add&callback=http%3A%2F%2Fexmple.com", "", 114, "entity")
		s.refused("POST", "/v1.1/webhook.create.json?entity=product&callback=http%3A%2F%2Fexmple.com", "", 114, "action")
		s.refused("POST", "/v1.1/webhook.create.json?entity=product&action=add", "", 114, "callback")
		s.refused("POST", strings.Replace(create, "action=add", "action=explode", 1), "", 109, "product.explode")
		s.refused("POST", strings.Replace(create, "exmple.com", "", 1), "", 109, "")
		s.refused("POST", strings.Replace(create, "action=add", "action=%ff", 1), "", 109, "product.\ufffd")
		s.refused("POST", create+"&active=perhaps", "", 109, "active")
		s.refused("POST", create+"&fields=id,price..value", "", 109, "price..value")
		s.refused("POST", create+"&fields=first+name", "", 109, "white space")
		s.refused("POST", create+"&fields="+strings.Repeat("a,", 201), "", 109, "201 fields")
		s.refused("POST", create, `{"entity":`, 109, "JSON")
		s.refused("POST", create+"&label="+strings.Repeat("x", 1001), "", 109, "1000")
		s.Do("HEAD", s.with(create), nil, "")
		if after := len(s.endpoints()); after != before {
			t.Errorf("%d webhooks were made", after-before)
		}
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	other := s.MakeTenant("other", "api2cart")
	spanning := s.MakeKey("acme", "other")
	read, err := s.CreateKey(t.Context(), client.KeyInput{Tenants: []string{"acme"}, Scopes: []string{"read"}})
	if err != nil {
		t.Fatal(err)
	}
	list := func(api, store string) vendortest.Answer {
		return s.Do("GET", "/v1.0/webhook.count.json?api_key="+url.QueryEscape(api)+"&store_key="+url.QueryEscape(store), nil, "")
	}
	t.Run("A2-M3 A2-M11 what keys may do", func(t *testing.T) {
		s.t = t
		s.wantCode(list("wrong", s.storeKey), "a wrong api_key", 2, "Incorrect API Key")
		s.wantCode(list("", s.storeKey), "no api_key", 2, "Incorrect API Key")
		s.wantCode(list(s.apiKey, "even more wrong"), "a wrong store_key", 101, "Store not found")
		s.wantCode(list(s.apiKey, ""), "no store_key", 114, "store_key")
		s.wantCode(list(s.apiKey, other), "another tenant's store_key", 101, "Store not found")
		s.wantCode(list(read.Key, s.storeKey), "a key without manage", 5, "API access denied")
		if got := s.Do("GET", "/v1.0/product.count.json?api_key=wrong&store_key=even%20more%20wrong", nil, "").Body; !strings.HasPrefix(got, `{"return_code":3,`) {
			t.Errorf("a method that is not here: %s", got)
		}
		if got := list("wrong", "").Body; got != `{"return_code":2,"return_message":"Incorrect API Key","result":{}}` {
			t.Errorf("as it was recorded: %s", got)
		}
	})
	t.Run("A2-M2 the store_key selects the tenant", func(t *testing.T) {
		s.t = t
		s.want("POST", create, "", ok(`{"id":1}`))
		for store, n := range map[string]int{s.storeKey: 1, other: 0} {
			if got := list(spanning, store).Body; got != ok(fmt.Sprintf(`{"webhook_count":%d}`, n)) {
				t.Errorf("%s", got)
			}
		}
		unknown := s.Do("DELETE", "/v1.1/webhook.delete.json?id=1&api_key="+spanning+"&store_key="+other, nil, "")
		s.wantCode(unknown, "another store's webhook", 112, "Item not found")
	})
	t.Run("A2-M2 verbs", func(t *testing.T) {
		s.t = t
		s.wantCode(s.Do("PATCH", s.with("/v1.1/webhook.list.json"), nil, ""), "PATCH", 3, "")
		s.wantCode(s.Do("POST", s.with("/v1.1/nothing.json"), nil, ""), "an unknown method", 3, "Method is not specified")
		s.wantCode(s.Do("POST", "/v1.1/webhook.create.json", []string{form}, strings.Repeat("x", 2<<20)), "a body that is too large", 109, "")
	})
}

func TestListAndCount(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for i := range 12 {
		event := []string{"product&action=add", "product&action=update", "order&action=add"}[i%3]
		s.want("POST", fmt.Sprintf("/v1.1/webhook.create.json?entity=%s&callback=https://a.example/%d&active=%t", event, i+1, i != 3), "", ok(fmt.Sprintf(`{"id":%d}`, i+1)))
	}
	ids := func(query string) string {
		var a struct {
			Result struct {
				Webhook []struct{ ID json.RawMessage }
			}
		}
		if err := json.Unmarshal([]byte(s.Do("GET", s.with("/v1.1/webhook.list.json?params=id"+query), nil, "").Body), &a); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, w := range a.Result.Webhook {
			out = append(out, string(w.ID))
		}
		return strings.Join(out, " ")
	}
	t.Run("A2-M7 filters and pages", func(t *testing.T) {
		for query, want := range map[string]string{
			"":                                     "1 2 3 4 5 6 7 8 9 10",
			"&start=10":                            "11 12",
			"&start=99":                            "",
			"&start=9223372036854775807&count=250": "",
			"&count=3&start=1":                     "2 3 4",
			"&count=250":                           "1 2 3 4 5 6 7 8 9 10 11 12",
			"&entity=order":                        "3 6 9 12",
			"&action=update":                       "2 5 8 11",
			"&entity=product&action=add":           "1 4 7 10",
			"&active=false":                        "4",
			"&active=1&entity=product":             "1 2 5 7 8 10 11",
			"&ids=3,14,12":                         "3 12",
			"&ids=12%2C%203&active=true":           "3 12",
			"&entity=product&action=delete":        "",
		} {
			if got := ids(query); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
	})
	t.Run("A2-M7 fields", func(t *testing.T) {
		s.t = t
		s.want("GET", "/v1.1/webhook.list.json?count=1", "", ok(`{"webhook":[{"id":1,"callback":"https://a.example/1","entity":"product","action":"add"}]}`))
		s.want("GET", "/v1.0/webhook.list.json?count=1&params=id,label,unknown", "", ok(`{"webhook":[{"id":"1","label":""}]}`))
		var a struct {
			Result struct{ Webhook []map[string]any }
		}
		if err := json.Unmarshal([]byte(s.Do("GET", s.with("/v1.0/webhook.list.json?params=force_all"), nil, "").Body), &a); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"id", "label", "store_id", "active", "callback", "fields", "created_at", "updated_at", "entity", "action"} {
			if _, ok := a.Result.Webhook[0][name]; !ok {
				t.Errorf("force_all gives no %s", name)
			}
		}
	})
	t.Run("A2-M7 A2-M11 what is refused", func(t *testing.T) {
		s.t = t
		s.refused("GET", "/v1.1/webhook.list.json?count=251", "", 111, "250")
		s.refused("GET", "/v1.1/webhook.list.json?count=0", "", 109, "count")
		s.refused("GET", "/v1.1/webhook.list.json?start=x", "", 109, "start")
		s.refused("GET", "/v1.1/webhook.list.json?active=x", "", 109, "active")
	})
	t.Run("A2-M8 webhook.count", func(t *testing.T) {
		s.t = t
		s.want("GET", "/v1.0/webhook.count.json", "", ok(`{"webhook_count":12}`))
		s.want("GET", "/v1.1/webhook.count.json?entity=product", "", ok(`{"webhook_count":8}`))
		s.want("GET", "/v1.1/webhook.count.json?action=add&active=0", "", ok(`{"webhook_count":1}`))
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	t.Run("A2-M6 the catalogue, and what the operator registered", func(t *testing.T) {
		s.t = t
		if _, err := s.PutEventType(t.Context(), "order.shipment.add", client.EventTypeInput{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.PutEventType(t.Context(), "plain", client.EventTypeInput{}); err != nil {
			t.Fatal(err)
		}
		var a struct {
			Result struct {
				Events []map[string]any
			}
		}
		if err := json.Unmarshal([]byte(s.Do("GET", s.with("/v1.0/webhook.events.json"), nil, "").Body), &a); err != nil {
			t.Fatal(err)
		}
		events := a.Result.Events
		if len(events) != 16 {
			t.Fatalf("%d events: %v", len(events), events)
		}
		first := map[string]any{"webhook_name": "product.add", "entity": "product", "action": "add", "filterable_fields": map[string]any{"id": "string"}}
		if diff := cmp.Diff(first, events[0]); diff != "" {
			t.Error(diff)
		}
		if last := events[15]; last["entity"] != "order.shipment" || last["action"] != "add" {
			t.Errorf("%v", last)
		}
		s.want("POST", strings.Replace(create, "entity=product", "entity=order.shipment", 1), "", ok(`{"id":1}`))
	})
}

func TestUpdateAndDelete(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.want("POST", create+"&store_id=2&fields=id&lang_id=1", "", ok(`{"id":1}`))
	show := func() string {
		s.t.Helper()
		return s.Do("GET", s.with("/v1.1/webhook.list.json?params=label,store_id,active,callback,fields,entity,action,lang_id"), nil, "").Body
	}
	t.Run("A2-M9 webhook.update changes four things", func(t *testing.T) {
		s.t = t
		s.want("PUT", "/v1.0/webhook.update.json?id=1&callback=https://b.example/x&label=new&fields=id%2Cname&active=false&entity=order&action=delete&store_id=9&lang_id=8", "", ok(`{"updated":"1"}`))
		if got := show(); got != ok(`{"webhook":[{"label":"new","store_id":"2","active":false,"callback":"https://b.example/x","fields":"id,name","entity":"product","action":"add","lang_id":"1"}]}`) {
			t.Errorf("%s", got)
		}
		s.want("PUT", "/v1.1/webhook.update.json", `{"id":1,"active":true,"fields":"force_all","lang_id":"8"}`, ok(`{"updated":"1"}`), inJSON)
		if got := show(); got != ok(`{"webhook":[{"label":"new","store_id":"2","active":true,"callback":"https://b.example/x","fields":"force_all","entity":"product","action":"add","lang_id":"8"}]}`) {
			t.Errorf("%s", got)
		}
		s.want("GET", "/v1.0/webhook.update.json?id=1", "", ok(`{"updated":"1"}`)) // nothing
		s.want("POST", "/v1.1/webhook.update.json", "id=1&label=&fields=&active=", ok(`{"updated":"1"}`), form)
		s.refused("PUT", "/v1.1/webhook.update.json?label=x", "", 114, "id")
		s.refused("PUT", "/v1.1/webhook.update.json?id=77&label=x", "", 112, "Item not found")
		s.refused("PUT", "/v1.1/webhook.update.json?id=1&callback=nowhere", "", 109, "")
	})
	t.Run("A2-M10 webhook.delete", func(t *testing.T) {
		s.t = t
		s.refused("DELETE", "/v1.1/webhook.delete.json", "", 114, "id")
		s.want("DELETE", "/v1.1/webhook.delete.json?id=1", "", ok(`{"deleted":"1"}`))
		s.refused("DELETE", "/v1.1/webhook.delete.json?id=1", "", 112, "Item not found")
		s.refused("DELETE", "/v1.1/webhook.delete.json?id=none", "", 112, "Item not found")
		s.want("POST", create, "", ok(`{"id":2}`)) // an id is not used twice
		s.want("DELETE", "/v1.0/webhook.delete.json", "id=2", ok(`{"deleted":"1"}`), form)
		s.want("POST", create, "", ok(`{"id":3}`))
		s.want("GET", "/v1.0/webhook.delete.json?id=3", "", ok(`{"deleted":"1"}`))
		if n := len(s.endpoints()); n != 0 {
			t.Errorf("%d are left", n)
		}
	})
}

func TestFilteringConditions(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	const tree = `{"and":[{"field":"price","operator":"gt","value":10.50},{"not":{"field":"name","operator":"like","value":"demo\\_%"}}]}`
	shown := func(id string) string {
		s.t.Helper()
		return s.Do("GET", s.with("/v1.1/webhook.list.json?params=filtering_conditions&ids="+id), nil, "").Body
	}
	t.Run("A2-M12 given in every way, and shown as given", func(t *testing.T) {
		s.t = t
		quoted, _ := json.Marshal(tree)
		s.want("POST", create, `{"filtering_conditions":`+tree+`}`, ok(`{"id":1}`), inJSON)
		s.want("POST", create, `{"filtering_conditions":`+string(quoted)+`}`, ok(`{"id":2}`), inJSON)
		s.want("POST", create+"&filtering_conditions="+url.QueryEscape(" "+strings.ReplaceAll(tree, ",", " , ")), "", ok(`{"id":3}`))
		for _, id := range []string{"1", "2", "3"} {
			if got := shown(id); got != ok(`{"webhook":[{"filtering_conditions":`+tree+`}]}`) {
				t.Errorf("%s", got)
			}
		}
		var native any
		if err := json.Unmarshal(s.endpoints()[0].Filter, &native); err != nil || !strings.Contains(string(s.endpoints()[0].Filter), `"data.price"`) {
			t.Errorf("%s, %v", s.endpoints()[0].Filter, err)
		}
	})
	t.Run("A2-M12 a filter that was set elsewhere", func(t *testing.T) {
		s.t = t
		id := s.endpoints()[0].ID
		set := func(filter string) {
			t.Helper()
			if _, err := s.UpdateEndpoint(t.Context(), "acme", id, client.EndpointInput{Filter: client.Set(json.RawMessage(filter))}); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct{ filter, shown string }{
			{`{"field":"data.sku","operator":"eq","value":1.50}`, `{"field":"sku","operator":"eq","value":1.50}`},
			{`{"not":{"or":[{"as":"id","field":"data.customer.id","operator":"gt","value":"7"},{"field":"data.data.x","operator":"eq","value":"<"}]}}`,
				`{"not":{"or":[{"field":"customer.id","operator":"gt","value":"7"},{"field":"data.x","operator":"eq","value":"<"}]}}`},
		} {
			set(c.filter)
			if got := shown("1"); got != ok(`{"webhook":[{"filtering_conditions":`+c.shown+`}]}`) {
				t.Errorf("%s is shown as %s", c.filter, got)
			}
			s.want("PUT", "/v1.1/webhook.update.json", `{"id":1,"filtering_conditions":`+c.shown+`}`, ok(`{"updated":"1"}`))
			if got := string(s.endpoints()[0].Filter); !sameJSON(got, c.filter) {
				t.Errorf("%s has become %s", c.filter, got)
			}
		}
		for _, filter := range []string{
			`{"field":"metadata.region","operator":"eq","value":"EU"}`, `{"field":"type","operator":"eq","value":"a"}`, `{"field":"data.sku","operator":"exists"}`,
			`{"field":"data","operator":"eq","value":1}`, `{"field":"data.id","operator":"eq","value":86}`, strings.Repeat(`{"not":`, 5) + `{"field":"data.a","operator":"eq","value":1}` + strings.Repeat("}", 5),
			`{"and":[{"field":"data.a","operator":"eq","value":1},{"field":"metadata.b","operator":"eq","value":1}]}`,
		} {
			set(filter)
			if got := shown("1"); got != ok(`{"webhook":[{"filtering_conditions":null}]}`) {
				t.Errorf("%s is shown as %s", filter, got)
			}
			s.want("PUT", "/v1.1/webhook.update.json", `{"id":1,"label":"x","filtering_conditions":null}`, ok(`{"updated":"1"}`))
			s.refused("PUT", "/v1.1/webhook.update.json", `{"id":1,"filtering_conditions":`+tree+`}`, 109, "elsewhere")
			if got := string(s.endpoints()[0].Filter); !sameJSON(got, filter) {
				t.Errorf("%s has become %s", filter, got)
			}
		}
	})
	t.Run("A2-M12 null takes them away", func(t *testing.T) {
		s.t = t
		s.want("PUT", "/v1.1/webhook.update.json", `{"id":3,"filtering_conditions":null}`, ok(`{"updated":"1"}`))
		if got := shown("3"); got != ok(`{"webhook":[{"filtering_conditions":null}]}`) {
			t.Errorf("%s", got)
		}
	})
	t.Run("A2-M12 what is refused", func(t *testing.T) {
		s.t = t
		leaf := `{"field":"id","operator":"eq","value":"1"}`
		nested := func(levels int) string {
			return strings.Repeat(`{"not":`, levels-1) + leaf + strings.Repeat("}", levels-1)
		}
		s.want("PUT", "/v1.1/webhook.update.json", `{"id":3,"filtering_conditions":`+nested(5)+`}`, ok(`{"updated":"1"}`))
		for _, bad := range []string{
			nested(6), `{`, `[]`, `{}`, `{"and":[]}`, `{"and":` + leaf + `}`, `{"and":[` + leaf + `],"or":[` + leaf + `]}`, `{"xor":[` + leaf + `]}`, `"x"`,
			`{"field":"id","operator":"eq"}`, `{"field":"","operator":"eq","value":1}`, `{"field":"a..b","operator":"eq","value":1}`, `{"field":"id","operator":"matches","value":1}`,
			`{"field":"id","operator":"exists","value":true}`, `{"field":"id","operator":"eq","value":1,"and":[]}`, `{"field":"sku","operator":"in","value":"x"}`,
			`{"field":"sku","operator":"like","value":1}`, `{"field":"sku","operator":"gt","value":true}`,
		} {
			s.refused("PUT", "/v1.1/webhook.update.json?id=3&filtering_conditions="+url.QueryEscape(bad), "", 109, "")
		}
	})
	t.Run("A2-M12 they decide what is sent", func(t *testing.T) {
		s.t = t
		s.want("DELETE", "/v1.1/webhook.delete.json?id=1", "", ok(`{"deleted":"1"}`))
		s.want("DELETE", "/v1.1/webhook.delete.json?id=2", "", ok(`{"deleted":"1"}`))
		for _, c := range []struct{ conditions, data string }{
			{`{"field":"id","operator":"eq","value":"86"}`, `{"id":86}`},
			{`{"field":"id","operator":"eq","value":"86"}`, `{"id":"86"}`},
			{`{"field":"customer.id","operator":"in","value":[7,8]}`, `{"customer":{"id":"8"}}`},
			{`{"field":"id","operator":"neq","value":"87"}`, `{"id":86}`},
			{`{"field":"id","operator":"like","value":"8%"}`, `{"id":86}`},
			{`{"field":"id","operator":"like","value":"8%"}`, `{"id":"86"}`},
			{`{"field":"id","operator":"not_like","value":"9%"}`, `{"id":86}`},
			{`{"field":"id","operator":"gt","value":9}`, `{"id":"86"}`},
			{`{"field":"customer.group_id","operator":"lte","value":"100"}`, `{"customer":{"group_id":86}}`},
			{`{"field":"id","operator":"in","value":[` + hundreds + `]}`, `{"id":"255"}`},
			{`{"field":"id","operator":"not_in","value":["` + strings.ReplaceAll(hundreds, ",", `","`) + `"]}`, `{"id":256}`},
			{`{"field":"name","operator":"like","value":"%PRODUCT"}`, `{"name":"test product"}`},
			{tree, `{"price":11,"name":"demo"}`},
			{`{"or":[{"field":"price","operator":"lte","value":5},{"field":"sku","operator":"not_in","value":["a"]}]}`, `{"price":6,"sku":"b"}`},
		} {
			s.want("PUT", "/v1.1/webhook.update.json", `{"id":3,"filtering_conditions":`+c.conditions+`}`, ok(`{"updated":"1"}`))
			s.Send("acme", client.Event{Type: "product.add", Data: []byte(c.data)}, 1)
		}
		for _, c := range []struct{ conditions, data string }{
			{`{"field":"id","operator":"eq","value":"86"}`, `{"id":87}`},
			{`{"field":"id","operator":"neq","value":"86"}`, `{"id":86}`},
			{`{"field":"id","operator":"gt","value":"100"}`, `{"id":86}`},
			{`{"field":"id","operator":"gt","value":100}`, `{"id":"86"}`},
			{`{"field":"id","operator":"not_like","value":"8%"}`, `{"id":86}`},
			{tree, `{"price":11,"name":"DEMO_1"}`},
			{`{"field":"price","operator":"gt","value":10.5}`, `{"price":"11"}`},
		} {
			s.want("PUT", "/v1.1/webhook.update.json", `{"id":3,"filtering_conditions":`+c.conditions+`}`, ok(`{"updated":"1"}`))
			s.Send("acme", client.Event{Type: "product.add", Data: []byte(c.data)}, 0)
		}
	})
}

// hundreds are the numbers from 0 to 255.
var hundreds = func() string {
	var out []string
	for n := range 256 {
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(out, ",")
}()

// sameJSON reports whether two JSON texts hold the same, numbers by their digits.
func sameJSON(a, b string) bool {
	x, y := jsontext.Value(a), jsontext.Value(b)
	return x.Format(jsontext.ReorderRawObjects(true)) == nil && y.Format(jsontext.ReorderRawObjects(true)) == nil && string(x) == string(y)
}

func TestStores(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	t.Run("A2-M4 a webhook gets the events of its store", func(t *testing.T) {
		s.t = t
		s.want("POST", create+"&store_id=2", "", ok(`{"id":1}`))
		s.want("POST", create, "", ok(`{"id":2}`)) // store 1
		for metadata, n := range map[string]int{`{"store_id":"2"}`: 1, `{"store_id":" 2 "}`: 1, `{"store_id":" "}`: 1, `{"store_id":2}`: 1, `{"store_id":"1"}`: 1, `{}`: 1, `{"store_id":"3"}`: 0} {
			s.Send("acme", client.Event{Type: "product.add", Data: []byte(`{"id":1}`), Metadata: []byte(metadata)}, n)
		}
	})
	t.Run("A2-M4 blanks are none", func(t *testing.T) {
		s.t = t
		order := strings.Replace(create, "product", "order", 1)
		s.want("POST", order+"&store_id=%202%20", "", ok(`{"id":3}`))
		s.want("POST", order+"&store_id=+", "", ok(`{"id":4}`))
		s.want("GET", "/v1.1/webhook.list.json?entity=order&params=store_id", "", ok(`{"webhook":[{"store_id":"2"},{"store_id":"1"}]}`))
		s.Send("acme", client.Event{Type: "order.add", Data: []byte(`{"id":1}`), Metadata: []byte(`{"store_id":"2"}`)}, 1)
		s.Send("acme", client.Event{Type: "order.add", Data: []byte(`{"id":1}`)}, 1)
	})
}

func TestFailedLog(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	other := s.MakeTenant("other", "api2cart")
	bad, good := vendortest.NewTap(t, "http://127.0.0.1:1"), vendortest.NewTap(t, "") // the first answers 502
	s.want("POST", "/v1.1/webhook.create.json?entity=product&action=add&fields=name&callback="+url.QueryEscape(bad.URL), "", ok(`{"id":1}`))
	s.want("POST", "/v1.1/webhook.create.json?entity=order&action=add&callback="+url.QueryEscape(bad.URL), "", ok(`{"id":2}`))
	s.want("POST", "/v1.1/webhook.create.json?entity=product&action=add&callback="+url.QueryEscape(good.URL), "", ok(`{"id":3}`))
	elsewhere := *s
	elsewhere.apiKey, elsewhere.storeKey = s.MakeKey("other"), other
	elsewhere.want("POST", "/v1.1/webhook.create.json?entity=product&action=add&callback="+url.QueryEscape(bad.URL), "", ok(`{"id":4}`))
	s.hasten("acme")
	s.hasten("other")
	s.Send("acme", client.Event{Type: "product.add", Data: []byte(`{"id":86,"name":"test product"}`)}, 2)
	s.Send("acme", client.Event{Type: "order.add", Data: []byte(`{"id":"o/7"}`)}, 1)
	s.Send("other", client.Event{Type: "product.add", Data: []byte(`{"sku":1}`)}, 1)
	seen := bad.Wait(6) // each twice
	s.waitFailed("acme", 2)
	s.waitFailed("other", 1)

	type log struct {
		Result struct {
			Total   string `json:"all_failed_webhook"`
			Webhook []struct {
				ID     json.RawMessage `json:"webhook_id"`
				Entity string          `json:"entity_id"`
				Time   struct{ Value, Format string }
			}
		}
	}
	read := func(path string) (out log) {
		t.Helper()
		a := s.Do("GET", path, nil, "")
		if err := json.Unmarshal([]byte(a.Body), &out); err != nil || a.Status != 200 {
			t.Fatalf("%d %s: %v", a.Status, a.Body, err)
		}
		return out
	}
	entries := func(l log) string {
		var out []string
		for _, w := range l.Result.Webhook {
			out = append(out, string(w.ID)+":"+w.Entity)
		}
		slices.Sort(out)
		return l.Result.Total + " " + strings.Join(out, " ")
	}
	own, all := "api_key="+s.apiKey, "api_key="+s.MakeKey("acme", "other")
	t.Run("A2-R2 each was sent twice", func(t *testing.T) {
		if len(seen) != 6 {
			t.Errorf("%d requests", len(seen))
		}
	})
	t.Run("A2-R3 A2-R5 what failed for the key's tenants", func(t *testing.T) {
		for query, want := range map[string]string{
			own:              "2 1:86 2:o/7",
			all:              "3 1:86 2:o/7 4:",
			own + "&ids=2,3": "1 2:o/7",
			own + "&ids=3":   "0 ", // what was delivered is never there
			own + "&start=2": "2 ",
			own + "&start=9223372036854775807&count=250": "2 ",
			own + "&store_key=unused":                    "2 1:86 2:o/7",
		} {
			if got := entries(read("/v1.1/account.failed_webhooks.json?" + query)); got != want {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
		}
		if got := read("/v1.1/account.failed_webhooks.json?" + all + "&count=1&start=1"); len(got.Result.Webhook) != 1 || got.Result.Total != "3" {
			t.Errorf("%+v", got)
		}
		s.wantCode(s.Do("GET", "/v1.1/account.failed_webhooks.json?api_key=wrong", nil, ""), "a wrong key", 2, "Incorrect API Key")
		s.wantCode(s.Do("GET", "/v1.1/account.failed_webhooks.json?count=300&"+own, nil, ""), "too many", 111, "250")
	})
	t.Run("A2-R6 the entity's id, and when", func(t *testing.T) {
		old := read("/v1.0/account.failed_webhooks.json?" + own)
		if id := string(old.Result.Webhook[0].ID); !strings.HasPrefix(id, `"`) {
			t.Errorf("v1.0 shows the id %s", id)
		}
		for _, w := range old.Result.Webhook {
			at, err := time.Parse("2006-01-02T15:04:05-0700", w.Time.Value)
			if err != nil || w.Time.Format != `Y-m-d\TH:i:sO` || time.Since(at) > time.Hour {
				t.Errorf("%+v, %v", w.Time, err)
			}
		}
	})
}

// hasten makes the retries of a tenant's endpoints come at once.
func (s *shop) hasten(tenant string) {
	s.t.Helper()
	for e, err := range s.Endpoints(s.t.Context(), tenant) {
		if err == nil {
			_, err = s.UpdateEndpoint(s.t.Context(), tenant, e.ID, client.EndpointInput{Schedule: client.Set([]client.Duration{client.Duration(time.Millisecond)})})
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// waitFailed waits until so many deliveries of a tenant have failed.
func (s *shop) waitFailed(tenant string, n int) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		failed := 0
		for _, err := range s.Deliveries(s.t.Context(), tenant, client.DeliveryFilter{State: client.Failed}) {
			if err != nil {
				s.t.Fatal(err)
			}
			failed++
		}
		if failed == n {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%d deliveries of %s have failed, want %d", failed, tenant, n)
		}
	}
}
