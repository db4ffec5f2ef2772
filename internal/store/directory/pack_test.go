package directory

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/hook"
)

// anything draws a value of a type, every field of a struct included, so that
// whoever adds a field to a record is told here that it is not packed.
func anything(t *rapid.T, typ reflect.Type, label string) reflect.Value {
	v := reflect.New(typ).Elem()
	switch {
	case typ == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(times.Draw(t, label)))
		return v
	case typ == reflect.TypeFor[[]byte]():
		if rapid.Bool().Draw(t, label+" set") {
			v.SetBytes(append([]byte{}, texts.Draw(t, label)...))
		}
		return v
	}
	switch typ.Kind() {
	case reflect.String:
		v.SetString(texts.Draw(t, label))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, label))
	case reflect.Float64:
		v.SetFloat(rapid.Float64().Draw(t, label))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, label))
	case reflect.Struct:
		for i := range typ.NumField() {
			v.Field(i).Set(anything(t, typ.Field(i).Type, label+"."+typ.Field(i).Name))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, label+" set") {
			v.Set(reflect.New(typ.Elem()))
			v.Elem().Set(anything(t, typ.Elem(), label))
		}
	case reflect.Slice:
		if n := rapid.IntRange(-1, 3).Draw(t, label+" length"); n >= 0 {
			v.Set(reflect.MakeSlice(typ, n, n))
			for i := range n {
				v.Index(i).Set(anything(t, typ.Elem(), label))
			}
		}
	case reflect.Map:
		if n := rapid.IntRange(-1, 3).Draw(t, label+" length"); n >= 0 {
			v.Set(reflect.MakeMap(typ))
			for range n {
				v.SetMapIndex(anything(t, typ.Key(), label), anything(t, typ.Elem(), label))
			}
		}
	default:
		t.Fatalf("%s is a %s, which no test draws", label, typ)
	}
	return v
}

var texts = rapid.OneOf(
	rapid.Just(""),
	rapid.String(),
	rapid.Just("order.created"),
	rapid.StringMatching(`ep_[0-9a-v]{26}`),
	rapid.SampledFrom([]string{"active", "paused", "ep_", "ep_zz", "ep_0123456789abcdefghijklmnop", "ep_0123456789abcdefghijklmnow", "k1.", "k1..", "k1.a.AAAA", "k1.a.AAA", "k1.a.AA\nAA", "k1.key.-_-_", "k1.AAB"}),
	rapid.StringMatching(`k1\.[0-9a-f]{8}\.[A-Za-z0-9_-]{0,200}`),
)

var times = rapid.OneOf(
	rapid.Just(time.Time{}),
	rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(0, rapid.Int64().Draw(t, "ns")).UTC() }),
	rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "s"), 0).UTC()
	}),
	rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(1_800_000_000, 5).In(time.FixedZone("", 60*rapid.IntRange(-720, 720).Draw(t, "offset")))
	}),
)

func TestPackedEndpoints(t *testing.T) {
	t.Parallel()
	names := newInterner()
	rapid.Check(t, func(t *rapid.T) {
		e := anything(t, reflect.TypeFor[hook.Endpoint](), "endpoint").Interface().(hook.Endpoint)
		packed := string(packEndpoint(nil, &e, &names))
		if diff := cmp.Diff(&e, unpackEndpoint(packed, names.names)); diff != "" {
			t.Fatal(diff)
		}
		o := outlineOf(packed, names.names)
		if o.Num != e.Num || o.Active() != e.Active() || o.Filter() != string(e.Filter) || !o.hasID(packedText(e.ID)) || o.hasID(packedText(e.ID+"x")) || o.Setting("none of them") != "" {
			t.Fatalf("%+v of %+v", o, e)
		}
		for k, v := range e.Settings {
			if o.Setting(k) != v {
				t.Fatalf("%q: %q, want %q", k, o.Setting(k), v)
			}
		}
	})
}

// When the names that are held in common are all taken, records hold their own.
func TestPackedEndpointsWithoutSharedNames(t *testing.T) {
	t.Parallel()
	names := newInterner()
	for i := range maxDialects {
		names.dialect(string(rune('a' + i)))
	}
	for i := range maxTypeLists {
		names.typeList([]string{string(rune('a'+i%1000)) + string(rune('a'+i/1000))})
	}
	e := &hook.Endpoint{ID: "own", Num: 7, Dialect: "another", EventTypes: []string{"x.y", "z"}}
	if diff := cmp.Diff(e, unpackEndpoint(string(packEndpoint(nil, e, &names)), names.names)); diff != "" {
		t.Error(diff)
	}
}

func TestPackedTenants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		of := anything(t, reflect.TypeFor[hook.Tenant](), "tenant").Interface().(hook.Tenant)
		packed := packTenant(nil, &of)
		if diff := cmp.Diff(&of, unpackTenant(string(packed))); diff != "" {
			t.Fatal(diff)
		}
	})
}
