package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"grapnel/internal/disk"
	"grapnel/internal/serve"
	"grapnel/internal/serve/offline"
	"grapnel/internal/store"
)

// What is too little for a server.
const (
	slowSync      = 20 * time.Millisecond // of one fsync: some hundred events a second remain with one publisher
	littleRoom    = 1 << 30
	noRoom        = 64 << 20
	syncs         = 5 // the median of which counts
	checkingLimit = 30 * time.Second
)

// folder is where the data is, or the nearest folder above that exists.
func (d *doctor) folder() (dir string, exists bool) {
	dir, err := filepath.Abs(d.settings.Data)
	if err != nil {
		return d.settings.Data, false
	}
	for exists = true; ; exists = false {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir, exists
		}
		above := filepath.Dir(dir)
		if above == dir {
			return dir, false
		}
		dir = above
	}
}

// checkFolder writes to the data folder, and measures how long it takes until
// that is safe.
func (d *doctor) checkFolder() {
	if info, err := os.Stat(d.settings.Data); err == nil && !info.IsDir() {
		d.add("data folder", checkFailed, "name a folder with --data", "%s is a file", d.settings.Data)
		return
	}
	dir, exists := d.folder()
	took, err := measureSync(dir)
	switch {
	case err != nil:
		d.add("data folder", checkFailed, "let the server's user own it, or name another folder with --data", "%s cannot be written to: %s", dir, pathless(err))
		return
	case !exists:
		d.add("data folder", checkOK, "", "%s does not exist yet; the server can make it in %s", d.settings.Data, dir)
	default:
		d.add("data folder", checkOK, "", "%s can be written to", dir)
	}
	if kind := disk.Network(dir); kind != "" {
		d.add("file system", checkWarning, networkRemedy, "%s is on %s, a network file system", dir, kind)
	}
	if took > slowSync {
		d.add("sync", checkWarning, "put the data on a local SSD; each group of publishes waits for one sync", "a sync takes %s", span(took))
		return
	}
	d.add("sync", checkOK, "", "a sync takes %s", span(took))
}

// networkRemedy is what to do about a data folder on another machine.
const networkRemedy = "put the data on a local disk, or in PostgreSQL: over a network, locks and syncs are only as good as the other end"

// measureSync writes a small file some times and gives the median of how long
// it took until it was on the disk.
func measureSync(dir string) (took time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".grapnel-doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	var all []time.Duration
	for range syncs {
		begin := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	return all[syncs/2], nil
}

// pathless is a file error without the path, which stands beside it.
func pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (d *doctor) checkRoom() {
	dir, _ := d.folder()
	free, ok := disk.Free(dir)
	const hint = "make room, or shorten --retention; without room publishes are refused"
	switch size := sizeText(free); {
	case !ok:
		d.add("disk", checkSkipped, "", "how much room there is cannot be told on this system")
	case free < noRoom:
		d.add("disk", checkFailed, hint, "%s is free in %s", size, dir)
	case free < littleRoom:
		d.add("disk", checkWarning, hint, "%s is free in %s", size, dir)
	default:
		d.add("disk", checkOK, "", "%s is free in %s", size, dir)
	}
}

// checkDatabases looks through the data, if it is there and not in use.
func (d *doctor) checkDatabases() {
	if found, err := offline.Holds(d.settings.Data); err != nil || !found {
		d.add("databases", checkSkipped, "", "there is no data in %s yet", d.settings.Data)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkingLimit)
	defer cancel()
	report, err := offline.Check(ctx, d.settings.Data, nil)
	switch {
	case errors.Is(err, store.ErrLocked):
		d.add("databases", checkSkipped, "", "a server has them open; stop it, or check a backup with grapnel db check")
	case errors.Is(err, context.DeadlineExceeded):
		d.add("databases", checkSkipped, "grapnel db check takes its time", "there is more data than can be checked in %s", checkingLimit)
	case err != nil:
		d.add("databases", checkFailed, "grapnel db check says more", "they cannot be checked: %s", err)
	case len(report.Findings) > 0:
		for _, f := range report.Findings {
			d.add("databases", checkFailed, f.Advice, "%s: %s", f.File, f.Problem)
		}
	default:
		d.add("databases", checkOK, "", "%d files, nothing wrong", len(report.Files))
	}
	if report != nil {
		d.checkKeys(report.Seals(d.keys(), time.Now()))
	}
}

// checkDescriptors compares the limit of open files with what the settings
// can use: a connection of a caller or to an endpoint is one, and some more
// are for files.
func (d *doctor) checkDescriptors() {
	limit, ok := descriptorLimit()
	need := uint64(max(d.settings.MaxConnections, 0)) + uint64(max(d.settings.MaxInFlight, 0)) + 256
	switch {
	case !ok:
		d.add("descriptors", checkSkipped, "", "the limit of open files cannot be told on this system")
	case limit < 1024:
		d.add("descriptors", checkFailed, fmt.Sprintf("raise it to %d (ulimit -n, LimitNOFILE=)", need), "%d files may be open at once", limit)
	case limit < need:
		d.add("descriptors", checkWarning, "raise it (ulimit -n, LimitNOFILE=), or lower --max-connections", "%d files may be open at once, and --max-connections with --max-in-flight can use %d", limit, need)
	default:
		d.add("descriptors", checkOK, "", "%d files may be open at once; the settings can use %d", limit, need)
	}
}

// checkPorts tries to listen where the server would.
func (d *doctor) checkPorts() {
	for _, addr := range d.listeners() {
		l, err := net.Listen("tcp", addr)
		var bad *net.AddrError
		switch {
		case err == nil:
			l.Close()
			d.add("port", checkOK, "", "%s is free", addr)
		case errors.Is(err, syscall.EADDRINUSE):
			d.portTaken(addr)
		case errors.Is(err, syscall.EACCES):
			d.add("port", checkFailed, "choose a port of 1024 or above, or give the capability CAP_NET_BIND_SERVICE", "%s needs a right that this user does not have", addr)
		case errors.As(err, &bad):
			d.add("port", checkSkipped, "", "%s is no address to listen on", addr)
		default:
			d.add("port", checkFailed, "choose an address of this machine with --listen", "%s: %s", addr, rootOf(err))
		}
	}
}

func (d *doctor) portTaken(addr string) {
	if answersAsServer(d.timeout, "http://"+reachable(addr)) || answersAsServer(d.timeout, "https://"+reachable(addr)) {
		d.add("port", checkOK, "", "%s is used by a Grapnel that runs", addr)
		return
	}
	holder := "another process"
	if name := portHolder(portOf(addr)); name != "" {
		holder = name
	}
	d.add("port", checkFailed, "end that process, or choose another address with --listen", "%s is used by %s", addr, holder)
}

// rootOf is the innermost error.
func rootOf(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// checkCertificate looks at the server's own certificate.
func (d *doctor) checkCertificate() {
	if d.settings.TLSCert == "" || d.settings.TLSKey == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(d.settings.TLSCert, d.settings.TLSKey)
	if err != nil {
		d.add("certificate", checkFailed, "name a PEM certificate and its key with --tls-cert and --tls-key", "it cannot be used: %s", err)
		return
	}
	now := time.Now()
	day := pair.Leaf.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case now.After(pair.Leaf.NotAfter):
		d.add("certificate", checkFailed, "renew it; the server takes the new files without a restart", "it expired on %s", day)
	case serve.ExpiresSoon(pair.Leaf, now):
		d.add("certificate", checkWarning, "renew it; the server takes the new files without a restart", "it expires on %s", day)
	default:
		d.add("certificate", checkOK, "", "it is valid until %s", day)
	}
}

// checkRoots looks for the authorities that endpoints' certificates are
// checked against.
func (d *doctor) checkRoots() {
	pool, err := x509.SystemCertPool()
	if err != nil || pool.Equal(x509.NewCertPool()) {
		d.add("authorities", checkWarning, "install ca-certificates, so that authorities are kept up to date", "the system has no list of certificate authorities; the one built into this program is used")
		return
	}
	d.add("authorities", checkOK, "", "the system's list of certificate authorities is used")
}
