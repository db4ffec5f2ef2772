package codec_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
)

// filled has every field of a record set.
func filled(v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1_800_000_000, 123456789).UTC()))
		return
	case []byte:
		v.SetBytes([]byte(`{"a":"<é>"}`))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("a \"<é>&\\\n")
	case reflect.Int, reflect.Int64:
		v.SetInt(-42)
	case reflect.Float64:
		v.SetFloat(2.5e-7)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Struct:
		for i := range v.NumField() {
			filled(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			filled(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		filled(k)
		filled(e)
		v.SetMapIndex(k, e)
	}
}

// Every field is known to the fast way, but for those that few records have.
func TestDocumentsAreReadFast(t *testing.T) {
	t.Parallel()
	for _, empty := range []bool{false, true} {
		var e hook.Endpoint
		var of hook.Tenant
		if !empty {
			filled(reflect.ValueOf(&e).Elem())
			filled(reflect.ValueOf(&of).Elem())
			e.PastFields, e.PastSettings, e.PastTransforms, of.PastAPIVersions, of.PastSettings, of.Connection = nil, nil, nil, nil, nil, nil
		}
		reads(t, &e, codec.ReadEndpoint)
		reads(t, &of, codec.ReadTenant)
	}
}

func reads[T any](t *testing.T, want *T, read func(string, *T) bool) {
	t.Helper()
	doc, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := new(T)
	if !read(string(doc), got) {
		t.Fatalf("%s is not read fast", doc)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What the fast way reads, it reads as encoding/json does.
func FuzzDocument(f *testing.F) {
	var e hook.Endpoint
	var of hook.Tenant
	for range 2 {
		for _, v := range []any{e, of} {
			doc, err := json.Marshal(v)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(doc))
		}
		filled(reflect.ValueOf(&e).Elem())
		filled(reflect.ValueOf(&of).Elem())
	}
	f.Add(`{}`)
	f.Add(`{"URL":null,"Num":01,"Headers":[{"Name":"a","Value":"\u0026"}],"Settings":{},"Schedule":[1,2]}`)
	f.Add(`{"RateLimit":0x1p-2,"Num":+1,"StateAt":"2026-01-01T00:00:00+02:00"}`)
	f.Fuzz(func(t *testing.T, doc string) {
		agrees(t, doc, codec.ReadEndpoint)
		agrees(t, doc, codec.ReadTenant)
	})
}

func agrees[T any](t *testing.T, doc string, read func(string, *T) bool) {
	var fast, usual T
	if !read(doc, &fast) || !jsontext.Value(doc).IsValid() {
		return // what is no JSON, or has a name twice, is not stored
	}
	if err := json.Unmarshal([]byte(doc), &usual); err != nil {
		t.Fatalf("%q: %v", doc, err)
	}
	if diff := cmp.Diff(usual, fast); diff != "" {
		t.Errorf("%q: %s", doc, diff)
	}
}
