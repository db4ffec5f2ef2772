package disk

import "testing"

func TestNetwork(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"/proc", "/dev", "/nowhere"} {
		if kind := Network(dir); kind != "" {
			t.Errorf("%s is said to be on %s", dir, kind)
		}
	}
	for number, want := range map[int64]string{0x6969: "NFS", 0xff534d42: "SMB", 0xfe534d42: "SMB", 0xef53: "", 0x9123683e: ""} {
		if got := networks[number]; got != want {
			t.Errorf("%#x is %q, want %q", number, got, want)
		}
	}
}
