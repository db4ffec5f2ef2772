package dialect_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/testaid"
)

// styled is a dialect whose body is the data alone, in a style.
func styled(t testing.TB, style string, more ...string) *dialect.Dialect {
	t.Helper()
	return load(t, bodied(`{json: "{event.data}", style: `+style+strings.Join(more, "")+`}`))
}

// of is the body of data, which must be one that can be rendered.
func of(t testing.TB, d *dialect.Dialect, data string, fields ...string) string {
	t.Helper()
	body, err := d.Body(dialect.Input{Event: &hook.Event{Type: "a", Data: []byte(data)}, Fields: fields})
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return string(body)
}

func TestStyles(t *testing.T) {
	t.Parallel()
	ds := map[string]*dialect.Dialect{}
	for _, s := range []string{"verbatim", "compact", "js", "php"} {
		ds[s] = styled(t, s)
	}
	for _, c := range []struct{ name, in, compact, js, php string }{
		{"white space", " { \"a\" :\t[ 1 ,\r\n2 ] , \"b c\" : { } } ", `{"a":[1,2],"b c":{}}`, `{"a":[1,2],"b c":{}}`, `{"a":[1,2],"b c":{}}`},
		{"SM-S3 digits", `[1.0, 1e400, -0, 0.10, 12345678901234567890, 1E+2, -1.5e-07]`, `[1.0,1e400,-0,0.10,12345678901234567890,1E+2,-1.5e-07]`, `[1.0,1e400,-0,0.10,12345678901234567890,1E+2,-1.5e-07]`, `[1.0,1e400,-0,0.10,12345678901234567890,1E+2,-1.5e-07]`},
		{"SM-S3 {} is no list", `{"a":{},"b":[]}`, `{"a":{},"b":[]}`, `{"a":{},"b":[]}`, `{"a":{},"b":[]}`},
		{"the order of keys", `{"b":1,"a":2,"10":3,"9":4,"a":5}`, `{"b":1,"a":2,"10":3,"9":4,"a":5}`, `{"b":1,"a":2,"10":3,"9":4,"a":5}`, `{"b":1,"a":2,"10":3,"9":4,"a":5}`},
		{"slashes", `{"a/b":"</s>\/\u002f"}`, `{"a/b":"</s>\/\u002f"}`, `{"a/b":"</s>//"}`, `{"a\/b":"<\/s>\/\/"}`},
		{"beyond ASCII", `"ü\u00FC\u00fc€"`, `"ü\u00FC\u00fc€"`, `"üüü€"`, `"\u00fc\u00fc\u00fc\u20ac"`},
		{"beyond U+FFFF", `"😀\uD83D\uDE00x"`, `"😀\uD83D\uDE00x"`, `"😀😀x"`, `"\ud83d\ude00\ud83d\ude00x"`},
		{"controls", `"\u0000\u0008\b\t\n\u000b\f\r\u001F\u0020\u007f"`, `"\u0000\u0008\b\t\n\u000b\f\r\u001F\u0020\u007f"`, `"\u0000\b\b\t\n\u000b\f\r\u001f ` + "\x7f" + `"`, `"\u0000\b\b\t\n\u000b\f\r\u001f ` + "\x7f" + `"`},
		{"quotes", `"\"\u0022\\\u005c'"`, `"\"\u0022\\\u005c'"`, `"\"\"\\\\'"`, `"\"\"\\\\'"`},
		{"HTML", `"<>&'\u003c"`, `"<>&'\u003c"`, `"<>&'<"`, `"<>&'<"`},
		{"line separators", "\"\u2028\\u2029\"", "\"\u2028\\u2029\"", "\"\u2028\u2029\"", `"\u2028\u2029"`},
		{"half a pair", `"\uD800a\uDC00\ud83d\ud83d\ude00"`, `"\uD800a\uDC00\ud83d\ud83d\ude00"`, `"\ud800a\udc00\ud83d😀"`, `"\ud800a\udc00\ud83d\ud83d\ude00"`},
		{"noncharacters", `"\uFFFF\ufffe\uFFFD"`, `"\uFFFF\ufffe\uFFFD"`, "\"\uffff\ufffe\ufffd\"", `"\uffff\ufffe\ufffd"`},
		{"empty texts", `{"":""}`, `{"":""}`, `{"":""}`, `{"":""}`},
		{"words", ` [ true , false , null ] `, `[true,false,null]`, `[true,false,null]`, `[true,false,null]`},
		{"a text alone", ` "a\/b" `, `"a\/b"`, `"a/b"`, `"a\/b"`},
	} {
		for style, want := range map[string]string{"verbatim": c.in, "compact": c.compact, "js": c.js, "php": c.php} {
			if diff := cmp.Diff(want, of(t, ds[style], c.in)); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", c.name, style, diff)
			}
		}
	}
}

// The contract's own texts, and what placeholders put into texts, are written
// in the style too.
func TestStyleOfTheContractsTexts(t *testing.T) {
	t.Parallel()
	const json = `json: {"a/é": "</é\"{public_url}{event.data}{event.data.s}{endpoint.setting.x|d/é}", "d": "{event.data.no|\"\\u00e9/\"}", "v": "{event.data.s}", "m": "{event.metadata}", "c": "{event.changed}"}`
	for style, want := range map[string]string{
		"verbatim": `{"a/é":"</é\"https://x/é` + "\u2028\x7f" + `/é/d/é","d":"\u00e9/","v":"\/\u00e9/","m":{ "é/":1},"c":["\u0073"]}`,
		"compact":  `{"a/é":"</é\"https://x/é` + "\u2028\x7f" + `/é/d/é","d":"\u00e9/","v":"\/\u00e9/","m":{"é/":1},"c":["\u0073"]}`,
		"js":       `{"a/é":"</é\"https://x/é` + "\u2028\x7f" + `/é/d/é","d":"é/","v":"/é/","m":{"é/":1},"c":["s"]}`,
		"php":      `{"a\/\u00e9":"<\/\u00e9\"https:\/\/x\/\u00e9\u2028` + "\x7f" + `\/\u00e9\/d\/\u00e9","d":"\u00e9\/","v":"\/\u00e9\/","m":{"\u00e9\/":1},"c":["s"]}`,
	} {
		in := wideInput()
		in.PublicURL = "https://x/é\u2028\x7f"
		in.Event.Data, in.Event.Metadata, in.Event.Previous = []byte(`{ "\u0073": "\/\u00e9/" }`), []byte(`{ "é/":1}`), []byte(`{"s":1}`)
		got, err := rendered(t, "{"+strings.Replace(json, "{event.data}", "", 1)+", style: "+style+"}", in)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", style, err, diff)
		}
	}
}

// everyCharacter is a JSON text with every character that there is, each as it
// is where it may be and as an escape. What neither PHP nor JavaScript takes is
// left out: halves of pairs.
func everyCharacter() string {
	var b strings.Builder
	b.WriteString(`["`)
	for r := rune(0); r <= 0x10ffff; r++ {
		if r >= 0xd800 && r < 0xe000 {
			continue
		}
		if r >= ' ' && r != '"' && r != '\\' {
			b.WriteRune(r)
		}
		if r < 0x10000 {
			b.WriteString(`\u`)
			const hex = "0123456789ABCDEF"
			for shift := 12; shift >= 0; shift -= 4 {
				b.WriteByte(hex[r>>shift&15])
			}
		}
		if r%4096 == 4095 {
			b.WriteString(`","`)
		}
	}
	for _, c := range `"\/bfnrt` {
		b.WriteString(`\` + string(c))
	}
	b.WriteString(`"]`)
	return b.String()
}

// The styles are what the languages write: of every character, raw and as an
// escape.
func TestStylesAreWhatLanguagesWrite(t *testing.T) {
	t.Parallel()
	all := everyCharacter()
	values := []string{
		all, `{"a":{"b":[1,2.5,-3,true,false,null,"x"]},"c\/d":[]}`, `"</script>"`, `[[],[[]],{"a":{"a":{}}}]`, `{"Ключ/😀":"\u2028"}`,
	}
	for _, c := range []struct {
		style, program string
		args           []string
	}{
		{"js", "node", []string{"-e", `process.stdout.write(JSON.stringify(JSON.parse(require("fs").readFileSync(0, "utf8"))))`}},
		{"php", "php", []string{"-d", "memory_limit=1G", "-r", `echo json_encode(json_decode(stream_get_contents(STDIN)));`}},
	} {
		t.Run(c.style, func(t *testing.T) {
			t.Parallel()
			program := testaid.Require(t, c.program)
			d := styled(t, c.style)
			for _, v := range values {
				cmd := exec.Command(program, c.args...)
				cmd.Stdin = strings.NewReader(v)
				want, err := cmd.Output()
				if err != nil || len(want) == 0 {
					t.Fatal(err)
				}
				if got := of(t, d, v); got != string(want) {
					t.Errorf("%.60s: %s", v, differ(got, string(want)))
				}
			}
		})
	}
}

// differ shows where two long texts begin to differ.
func differ(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(i-20, 0)
	return "got …" + got[from:min(i+20, len(got))] + "…, want …" + want[from:min(i+20, len(want))] + "…"
}

func TestA2D2IDStrings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ style, in, want string }{
		{"verbatim", `{"id": 86, "parent_id":-1.50e3 ,"_id":0,"name":5}`, `{"id": "86", "parent_id":"-1.50e3" ,"_id":"0","name":5}`},
		{"verbatim", `{"a":[{"id" : 12345678901234567890},{"x_id":[1],"y_id":{"id":1},"z_id":null,"u_id":true,"id":"7"}]}`, `{"a":[{"id" : "12345678901234567890"},{"x_id":["1"],"y_id":{"id":"1"},"z_id":null,"u_id":true,"id":"7"}]}`},
		{"verbatim", `{"idx":1,"Id":1,"ID":1,"idss":1,"kids":1,"kid":1,"id ":1,"\u0069d":1,"x_\u0069d":1,"_id\\":1}`, `{"idx":1,"Id":1,"ID":1,"idss":1,"kids":1,"kid":1,"id ":1,"\u0069d":"1","x_\u0069d":"1","_id\\":1}`},
		{"verbatim", `["id",1,"x_id",2]`, `["id",1,"x_id",2]`},
		{"verbatim", `{"category_ids": [1, "2/", -3e1 ,null,true] ,"ids":[],"id":[[4],[5, [6]] ], "n":[7],"x_ids":8,"m":{"ids":[9]},"o":10}`, `{"category_ids": ["1", "2/", "-3e1" ,null,true] ,"ids":[],"id":[["4"],["5", ["6"]] ], "n":[7],"x_ids":"8","m":{"ids":["9"]},"o":10}`},
		{"verbatim", `{"ids":[1,{"id":2,"n":3}],"n":4}`, `{"ids":["1",{"id":"2","n":3}],"n":4}`},
		{"php", `{ "category_ids" : [ 1, "2/" ] , "n" : [ 7 ] }`, `{"category_ids":["1","2\/"],"n":[7]}`},
		{"php", `{ "a/id" : 1, "é_id" : 2 , "id":3 }`, `{"a\/id":1,"\u00e9_id":"2","id":"3"}`},
		{"js", `{"\u0069d" : 1}`, `{"id":"1"}`},
		{"verbatim", `7`, `7`},
	} {
		d := styled(t, c.style, ", id_strings: true")
		if diff := cmp.Diff(c.want, of(t, d, c.in)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.style, c.in, diff)
		}
	}
	if got, err := rendered(t, `{json: {d: "{event.data}", n: "{event.data.id}", m: "{event.metadata}"}, id_strings: true}`,
		dialect.Input{Event: &hook.Event{Data: []byte(`{"id":1}`), Metadata: []byte(`{"id":1}`)}}); err != nil || got != `{"d":{"id":"1"},"n":"1","m":{"id":1}}` {
		t.Errorf("%s, %v", got, err)
	}
}

// same reports whether two JSON texts hold the same tokens: numbers with the
// same digits, and strings with the same characters. With ids a number may have
// become a string.
func same(a, b string, ids bool) bool {
	options := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	x, y := jsontext.NewDecoder(strings.NewReader(a), options...), jsontext.NewDecoder(strings.NewReader(b), options...)
	for {
		p, errP := x.ReadToken()
		q, errQ := y.ReadToken()
		if errP != nil || errQ != nil {
			return errP == errQ // both are io.EOF
		}
		written := ids && p.Kind() == '0' && q.Kind() == '"'
		if p.Kind() != q.Kind() && !written || p.String() != q.String() {
			return false
		}
	}
}

func valid(s string) bool {
	return jsontext.Value(s).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// FuzzStyle: a style keeps the value and is idempotent, whatever escapes and
// white space there are; of what is no JSON it makes something.
func FuzzStyle(f *testing.F) {
	for _, s := range []string{account, `[1,"\ud800\udc00",{"":{}}]`, `"`, `"\`, `"\u12`, `"\uD83D\uDE`, `{"id":`, `{"id":1`, "[\"\xff\\\"", `{"a" : "\ud800"}`, "\"\xed\xa0\x80\""} {
		f.Add(s)
	}
	var ds, ids []*dialect.Dialect
	for _, s := range []string{"compact", "js", "php"} {
		ds = append(ds, styled(f, s))
	}
	for _, s := range []string{"verbatim", "compact", "js", "php"} {
		ids = append(ids, styled(f, s, ", id_strings: true"))
	}
	f.Fuzz(func(t *testing.T, data string) {
		if data == "" {
			return
		}
		for _, d := range ds {
			once := of(t, d, data)
			if !valid(data) {
				continue
			}
			if !same(data, once, false) {
				t.Errorf("%q became %q", data, once)
			}
			if twice := of(t, d, once); twice != once {
				t.Errorf("%q became %q, then %q", data, once, twice)
			}
		}
		for _, d := range ids {
			once := of(t, d, data)
			if !valid(data) {
				continue
			}
			if !same(data, once, true) {
				t.Errorf("%q became %q", data, once)
			}
			if twice := of(t, d, once); twice != once {
				t.Errorf("%q became %q, then %q", data, once, twice)
			}
		}
	})
}

func benchmarkStyle(b *testing.B, d *dialect.Dialect, in dialect.Input) {
	b.ReportAllocs()
	b.SetBytes(int64(len(in.Event.Data)))
	for b.Loop() {
		if _, err := d.Body(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStyle(b *testing.B) {
	product := bytes.Repeat([]byte(`{"id": 86, "name": "Föö \"bar\"", "url": "https://shop.example/p/86", "price": {"value": 12.50, "currency": "EUR"}},`), 10)
	in := dialect.Input{Event: &hook.Event{Type: "a", Data: append(append([]byte(`{"items":[`), product[:len(product)-1]...), "]}"...)}}
	for _, s := range []string{"verbatim", "compact", "js", "php"} {
		b.Run(s, func(b *testing.B) { benchmarkStyle(b, styled(b, s), in) })
	}
	b.Run("id_strings", func(b *testing.B) { benchmarkStyle(b, styled(b, "verbatim", ", id_strings: true"), in) })
	in.Fields = []string{"items.id", "items.name", "items.price.value"}
	b.Run("project", func(b *testing.B) {
		benchmarkStyle(b, styled(b, "verbatim", ", id_strings: true, project: true"), in)
	})
}

// What is no hexadecimal digit is never read as one, even if nobody has checked
// the data before.
func TestEscapesOfOtherCharacters(t *testing.T) {
	t.Parallel()
	d := styled(t, "php")
	for _, digit := range "/:;<=>?@G`g \x10" {
		if got := of(t, d, `"\u00`+string(digit)+`1"`); strings.Contains(got, `\u00`) && !strings.Contains(got, `\ufffd`) {
			t.Errorf("%q as a digit gives %s", digit, got)
		}
	}
	if got := of(t, d, `"\u00:0\u00e9"`); got != `"\ufffd00:0\u00e9"` {
		t.Errorf("%s", got)
	}
}
