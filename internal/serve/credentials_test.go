package serve_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grapnel/client"
	"grapnel/internal/serve"
	"grapnel/internal/store/eithertest"
)

// case 104: the values of an endpoint's credential headers arrive, and are in no
// file of the data folder and in no backup.
func TestCredentialsAreNotInTheFolder(t *testing.T) {
	eithertest.OnlySQLite(t, "files that can be read, and a backup of them")
	t.Parallel()
	got := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Authorization") + " " + r.Header.Get("X-Api-Key")
	}))
	defer receiver.Close()
	dir := t.TempDir()
	_, c := start(t, serve.Config{Settings: settings(t, dir), Exempt: []netip.AddrPort{netip.MustParseAddrPort(strings.TrimPrefix(receiver.URL, "http://"))}})
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	in := client.EndpointInput{URL: client.Set(receiver.URL), Headers: client.Set(client.Headers{{Name: "authorization", Value: "Bearer canary8"}, {Name: "X-Api-Key", Value: "canary8"}})}
	e, err := c.CreateEndpoint(t.Context(), "acme", in)
	if err != nil {
		t.Fatal(err)
	}
	// What was read can be sent back, and loses nothing.
	if e, err = c.UpdateEndpoint(t.Context(), "acme", e.ID, client.EndpointInput{Headers: client.Set(e.Headers)}); err != nil {
		t.Fatal(err)
	}
	if e.Headers[0].Value != "[secret]" || e.Headers[1].Value != "[secret]" {
		t.Errorf("shown: %v", e.Headers)
	}
	r, err := c.Publish(t.Context(), "acme", client.Event{Type: "a.b", Data: []byte(`{"n":"seen"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if headers := <-got; headers != "Bearer canary8 canary8" {
		t.Errorf("the receiver got %q", headers)
	}
	await(t, "the attempt to be recorded", func() bool {
		for d, err := range c.Deliveries(t.Context(), "acme", client.DeliveryFilter{Event: r.ID}) {
			return err == nil && d.State == "delivered"
		}
		return false
	})
	backup, err := c.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer backup.Close()
	text, err := io.ReadAll(backup)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"backup": text}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files[d.Name()], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := false
	for name, text := range files {
		seen = seen || bytes.Contains(text, []byte("a.b"))
		if bytes.Contains(text, []byte("canary8")) {
			t.Errorf("%s has the value of a credential", name)
		}
	}
	if !seen || len(files) < 3 {
		t.Errorf("%d files, and none has the event: this shows nothing", len(files))
	}
}
