package hook_test

import (
	"strings"
	"testing"

	"grapnel/internal/hook"
)

func TestCompareVersions(t *testing.T) {
	t.Parallel()
	ordered := []string{"", "1.2", "1.9", "1.10", "1.10.0", "9", "10", "2021-02-23", "2022-02-01", "2022-02-01b", "v9", "v10"}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i != j {
				want = map[bool]int{true: -1, false: 1}[i < j]
			}
			if got := hook.CompareVersions(a, b); got != want {
				t.Errorf("%q and %q: got %d, want %d", a, b, got, want)
			}
		}
	}
	if hook.CompareVersions("v007", "v7") != 0 {
		t.Error("leading zeros make another version")
	}
}

// SM-V1: how far the chain of converters goes.
func TestVersionsFor(t *testing.T) {
	t.Parallel()
	unnamed := []hook.TypeVersion{{Version: "2022-02-01", Convert: "to 2022"}, {Version: "2021-02-23", Convert: "to 2021"}}
	named := append([]hook.TypeVersion{{Version: "2023-05-01"}}, unnamed...)
	for _, c := range []struct {
		name     string
		versions []hook.TypeVersion
		asked    string
		want     string
	}{
		{"none asked for", unnamed, "", ""},
		{"a type without versions", nil, "2021-02-23", ""},
		{"the version by name", unnamed, "2022-02-01", "to 2022"},
		{"an older one by name", unnamed, "2021-02-23", "to 2022, to 2021"},
		{"between two", unnamed, "2021-12-31", "to 2022, to 2021"},
		{"older than all", unnamed, "2020-01-01", "to 2022, to 2021"},
		{"newer than all, and the newest shape has no name", unnamed, "2024-01-01", ""},
		{"the newest by name", named, "2023-05-01", ""},
		{"newer than all", named, "2024-01-01", ""},
		{"just before the newest", named, "2023-04-30", "to 2022"},
		{"the oldest", named, "2021-02-23", "to 2022, to 2021"},
		{"only the newest has a name", named[:1], "2020-01-01", ""},
	} {
		var got []string
		for _, v := range hook.VersionsFor(c.versions, c.asked) {
			got = append(got, v.Convert)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: got %v, want %s", c.name, got, c.want)
		}
	}
}
