package dialect_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

func TestA2D2Projection(t *testing.T) {
	t.Parallel()
	const product = ` { "name" : "test product" , "id" : 86 , "price" : { "currency" : "EUR" , "value" : 1.50 , "tax_id" : 3 } ,
		"variants" : [ { "id" : 1 , "sku" : "a/b" , "price" : { "value" : 2 } } , { "sku" : "é" } , { "id" : 3 } ] , "tags" : [ "x" , "y" ] ,
		"none" : null , "empty" : [ ] , "bare" : { } } `
	for _, c := range []struct{ name, fields, want string }{
		{"the vendor's example", "id,name", `{"name":"test product","id":86}`},
		{"all", "", product},
		{"force_all", "force_all", product},
		{"force_all beside others", "id,force_all", product},
		{"a path", "price.value", `{"price":{"value":1.50}}`},
		{"through a list", "variants.id", `{"variants":[{"id":1},{},{"id":3}]}`},
		{"through a list, deeper", "variants.price.value,variants.sku", `{"variants":[{"sku":"a/b","price":{"value":2}},{"sku":"é"},{}]}`},
		{"a whole object, as it is written", "price", `{"price":{ "currency" : "EUR" , "value" : 1.50 , "tax_id" : 3 }}`},
		{"the wider of two", "price.value,price", `{"price":{ "currency" : "EUR" , "value" : 1.50 , "tax_id" : 3 }}`},
		{"the wider of two, first", "price,price.value", `{"price":{ "currency" : "EUR" , "value" : 1.50 , "tax_id" : 3 }}`},
		{"two of one object, in the data's order", "price.value,price.currency", `{"price":{"currency":"EUR","value":1.50}}`},
		{"the same twice", "id,id", `{"id":86}`},
		{"a whole list", "tags", `{"tags":[ "x" , "y" ]}`},
		{"unknown ones count for nothing", "nothing,id,x.y.z,price.nothing", `{"id":86,"price":{}}`},
		{"unknown ones alone", "nothing", `{}`},
		{"a text has no fields", "name.first,id", `{"id":86}`},
		{"texts in a list have no fields", "tags.x", `{"tags":[]}`},
		{"null stands for an object", "none.id", `{"none":null}`},
		{"an empty list", "empty.id", `{"empty":[]}`},
		{"an empty object", "bare.id", `{"bare":{}}`},
		{"names are exact", "ID,nam,names,name ", `{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var fields []string
			if c.fields != "" {
				fields = strings.Split(c.fields, ",")
			}
			d := styled(t, "verbatim", ", project: true")
			if diff := cmp.Diff(c.want, of(t, d, product, fields...)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestProjectionOfOtherData(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, style, more, data, fields, want string }{
		{"a list of objects", "verbatim", "", ` [ {"id":1,"a":2} , [ {"id":3} , 4 ] , 5 , null , "id" , true ] `, "id", `[{"id":1},[{"id":3}],null]`},
		{"a text", "verbatim", "", `"x"`, "id", `"x"`},
		{"a number", "verbatim", "", ` 5`, "id", ` 5`},
		{"null", "verbatim", "", `null`, "id", `null`},
		{"nothing", "verbatim", "", `{}`, "id", `{}`},
		{"a name that stands twice", "verbatim", "", `{"id":1,"b":0,"id":2}`, "id", `{"id":1,"id":2}`},
		{"names that are written with escapes", "verbatim", "", `{"\u0069d":1,"a\/b":{"c":1},"\\":2}`, `id,a/b.c,\`, `{"\u0069d":1,"a\/b":{"c":1},"\\":2}`},
		{"brackets within texts", "verbatim", "", `{"a":"}],{\"","b":["\\",{"]":"["}],"id":1}`, "id,b", `{"b":["\\",{"]":"["}],"id":1}`},
		{"in a style", "php", "", `{ "a/é" : [ "/" ] , "id" : 1 , "u" : { "é" : 1 } }`, "a/é,u.é", `{"a\/\u00e9":["\/"],"u":{"\u00e9":1}}`},
		{"A2-D2 identifiers are strings", "verbatim", ", id_strings: true", `{"id": 86, "o": {"id" : 1,"x":1}, "v": [{"p_id":1,"x":2},{"p_id":"2"}], "w": {"id" :7}}`, "id,o.id,v.p_id,w", `{"id":"86","o":{"id":"1"},"v":[{"p_id":"1"},{"p_id":"2"}],"w":{"id" :"7"}}`},
		{"A2-D2 and so are those in lists", "verbatim", ", id_strings: true", `{"n":[1],"category_ids":[1,2],"o":[{"x_ids":[ 3 ],"y":4}]}`, "n,category_ids,o.x_ids", `{"n":[1],"category_ids":["1","2"],"o":[{"x_ids":[ "3" ]}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := styled(t, c.style, ", project: true"+c.more)
			if diff := cmp.Diff(c.want, of(t, d, c.data, strings.Split(c.fields, ",")...)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Fields count where the dialect projects, and there alone.
func TestFieldsWithoutProjection(t *testing.T) {
	t.Parallel()
	if got := of(t, styled(t, "verbatim"), `{"a":1,"id":2}`, "id"); got != `{"a":1,"id":2}` {
		t.Error(got)
	}
	if got := of(t, styled(t, "verbatim", ", project: false"), `{"a":1,"id":2}`, "id"); got != `{"a":1,"id":2}` {
		t.Error(got)
	}
	got, err := rendered(t, `{json: {d: "{event.data}", a: "{event.data.a}"}, project: true}`,
		dialect.Input{Event: &hook.Event{Data: []byte(`{"a":1,"id":2}`)}, Fields: []string{"id"}})
	if err != nil || got != `{"d":{"id":2},"a":1}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestFieldsCheck(t *testing.T) {
	t.Parallel()
	projects, whole := styled(t, "verbatim", ", project: true"), styled(t, "verbatim")
	if !projects.Projects() || whole.Projects() {
		t.Error("Projects")
	}
	long := make([]string, 201)
	for i := range long {
		long[i] = "a"
	}
	for _, c := range []struct {
		d      *dialect.Dialect
		fields []string
		want   string
	}{
		{projects, nil, ""},
		{whole, nil, ""},
		{whole, []string{}, ""},
		{whole, []string{"id"}, "it cannot choose fields"},
		{projects, []string{"id", "price.value", "force_all", "größe", "a-b_c:d"}, ""},
		{projects, []string{""}, "is no field"},
		{projects, []string{"id", "a..b"}, "is no field"},
		{projects, []string{".a"}, "is no field"},
		{projects, []string{"a."}, "is no field"},
		{projects, []string{"a b"}, "no white space and no comma"},
		{projects, []string{"a,b"}, "no white space and no comma"},
		{projects, []string{"a\n"}, "no white space and no comma"},
		{projects, []string{strings.Repeat("a", 256)}, ""},
		{projects, []string{strings.Repeat("a", 257)}, "257 bytes"},
		{projects, long[:200], ""},
		{projects, long, "there are 201 fields"},
	} {
		err := c.d.FieldsCheck(c.fields)
		if c.want == "" {
			if err != nil {
				t.Errorf("%.40q: %v", c.fields, err)
			}
			continue
		}
		if hook.CodeOf(err) != hook.CodeInvalid || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "/fields") {
			t.Errorf("%.40q: %v", c.fields, err)
		}
	}
}

// FuzzProject: of JSON a projection makes JSON with nothing in it that was not
// chosen, and it is idempotent; of anything else it makes something.
func FuzzProject(f *testing.F) {
	f.Add(account, "id,account.name,a.b")
	f.Add(`[{"id":1},[2,{"id":null}],"x"]`, "id")
	f.Add(`{"a":{"a":[[],[{"a":{"a":1}}]]}}`, "a.a.a")
	for _, s := range []string{`{"a"`, `{"a":`, `{"a":}`, `{"a":[`, `[,]`, `{"a":{"a":1]`, `{"a" 1`, `[{"a":1}`, `{"a":1,,"a":2}`, `]`, `}`, `{"a\`} {
		f.Add(s, "a,a.a")
	}
	var ds []*dialect.Dialect
	for _, s := range []string{"verbatim", "php"} {
		ds = append(ds, styled(f, s, ", project: true"), styled(f, s, ", project: true, id_strings: true"))
	}
	f.Fuzz(func(t *testing.T, data, list string) {
		fields := strings.Split(list, ",")
		if data == "" {
			return
		}
		for _, d := range ds {
			once := of(t, d, data, fields...)
			if !valid(data) {
				continue
			}
			if !valid(once) {
				t.Errorf("%q of %q became %q", list, data, once)
			}
			if twice := of(t, d, once, fields...); twice != once {
				t.Errorf("%q of %q became %q, then %q", list, data, once, twice)
			}
		}
	})
}

// The end of a text is found wherever its escapes stand.
func TestEndsOfTexts(t *testing.T) {
	t.Parallel()
	d := styled(t, "php", ", project: true")
	for n := range 70 {
		for _, escape := range []string{``, `\"`, `\\`, `\\\"`, `\"\"`, `\\\\`, `\\\\\"`} {
			for _, more := range []int{0, 1, 40} {
				text := strings.Repeat("x", n) + escape + strings.Repeat("y", more) + escape
				if got := of(t, d, `{"a":"`+text+`","`+text+`":{"id":["`+text+`"]},"id":"`+text+`","`+text+`z":0}`, "id"); got != `{"id":"`+text+`"}` {
					t.Errorf("%s: %s", text, got)
				}
			}
		}
	}
}
