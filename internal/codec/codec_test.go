package codec

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"grapnel/internal/hook"
)

func TestDetailRoundTrip(t *testing.T) {
	t.Parallel()
	for _, want := range []hook.Attempt{
		{},
		{
			Trigger: hook.Manual, Method: "POST", URL: "u", RequestHeader: []byte("a: b\r\n"), BodySHA256: [32]byte{1}, BodySize: 1 << 20, Detail: "d",
			Proto: "HTTP/2.0", ResponseHeader: []byte{0xff}, ResponseBody: []byte{0}, Truncated: true, RemoteAddr: "r", TLSVersion: "v", Reused: true,
			Timing: hook.Timing{DNS: 1, Connect: 2, TLS: 3, Wait: 4, Body: 5, Total: 6}, Reason: "r", NextAt: time.Unix(5, 6).UTC(),
		},
	} {
		var got hook.Attempt
		got.Key, got.At = want.Key, want.At
		if err := ParseDetail(new(Details).Append(nil, &want, new(Packer)), &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	}
}

// FuzzParse: no stored bytes make a parser panic, and what parses is written
// back the same.
func FuzzParse(f *testing.F) {
	f.Add(AppendTargets(nil, []hook.Target{{Endpoint: 1}, {Endpoint: 500, Disposition: 2}}))
	f.Add(new(Details).Append(nil, &hook.Attempt{Method: "POST"}, new(Packer)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if targets, err := ParseTargets(b); err == nil && CheckTargets(targets) == nil {
			again, err := ParseTargets(AppendTargets(nil, targets))
			if err != nil || !cmp.Equal(targets, again, cmpopts.EquateEmpty()) {
				t.Fatalf("%v became %v: %v", targets, again, err)
			}
		}
		var a hook.Attempt
		if ParseDetail(b, &a) == nil {
			var again hook.Attempt
			if err := ParseDetail(new(Details).Append(nil, &a, new(Packer)), &again); err != nil || !cmp.Equal(a, again) {
				t.Fatalf("%+v became %+v: %v", a, again, err)
			}
		}
	})
}
