package vendortest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"grapnel/internal/dialect/all"
	"grapnel/internal/dispatch"
	"grapnel/internal/filter"
	"grapnel/internal/ingest"
	"grapnel/internal/keyring"
	"grapnel/internal/manage"
	"grapnel/internal/store/directory"
	"grapnel/internal/store/sqlite"
)

// Site is what a server is made of, on a real store, without listeners, and with
// a network that the test plays. In a bubble it lives in virtual time.
type Site struct {
	Store    *sqlite.Store
	Book     *directory.Directory
	Manager  *manage.Manager
	Dispatch *dispatch.Dispatcher
	Ingest   *ingest.Ingester
}

// NewSite starts one on the store in dir. tune changes how it delivers; it may be
// nil. Close has to be called.
func NewSite(t *testing.T, dir string, key keyring.Source, network dispatch.Egress, tune func(*dispatch.Config)) *Site {
	t.Helper()
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dialects, err := all.Registry()
	check(err)
	ring, err := keyring.Open(key)
	check(err)
	log := slog.New(slog.DiscardHandler)
	s := &Site{}
	s.Store, err = sqlite.Open(ctx, sqlite.Options{Dir: dir, Logger: log})
	check(err)
	lease, err := s.Store.Acquire(ctx, "test")
	check(err)
	s.Book, err = directory.Load(ctx, s.Store)
	check(err)
	s.Manager, err = manage.New(manage.Config{
		Store: s.Store, Deliveries: s.Store, Directory: s.Book, Dialects: dialects, Ring: ring, Logger: log,
		CheckURL:    func(string) error { return nil },
		CheckFilter: func(tree []byte) error { _, err := filter.Parse(tree); return err },
	})
	check(err)
	config := dispatch.Config{
		Queue: s.Store, Lease: lease, Directory: s.Book, Dialects: dialects, Egress: network, Ring: ring, Manager: s.Manager,
		Logger: log, PublicURL: "https://hooks.example.com",
	}
	if tune != nil {
		tune(&config)
	}
	s.Dispatch, err = dispatch.New(config)
	check(err)
	check(s.Dispatch.Start(ctx))
	s.Ingest, err = ingest.New(ctx, ingest.Config{
		Log: s.Store, Directory: s.Book, Offer: s.Dispatch.Offer, Window: time.Hour, Logger: log,
		Policy: ingest.Policies(dialects),
	})
	check(err)
	return s
}

// Close ends it. Requests that are running are broken off.
func (s *Site) Close(t *testing.T) {
	t.Helper()
	s.Ingest.Close()
	over, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cancel()
	if err := s.Dispatch.Stop(over); err != nil {
		t.Error(err)
	}
	if err := s.Store.Close(); err != nil {
		t.Error(err)
	}
}
