package ssrf

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Ports are those that all addresses of a Network answer HTTP on.
var Ports = []int{80, 81, 8080, 65535}

// NameServer is where the name server of a Network listens.
var NameServer = netip.MustParseAddrPort("127.0.0.1:53")

// Apart makes a command run in a network and a mount table of its own, which root may.
func Apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
}

// Network is an internet in which every address there is is this machine's.
type Network struct {
	server *http.Server
	names  net.PacketConn
}

// NewNetwork builds the network for a process that was started Apart; it changes the
// process's routes and what it sees of /etc. folder takes its files.
func NewNetwork(folder string) (*Network, error) {
	for _, line := range [][]string{
		{"link", "set", "lo", "up"}, {"route", "add", "local", "0.0.0.0/0", "dev", "lo"}, {"-6", "route", "add", "local", "::/0", "dev", "lo"},
		{"addr", "add", "100.127.255.1/32", "dev", "lo"}, {"-6", "addr", "add", "2001:db8:ffff::1/128", "dev", "lo", "nodad"},
	} {
		if out, err := exec.Command("ip", line...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ip %v: %w: %s", line, err, out)
		}
	}
	for name, text := range map[string]string{
		"resolv.conf":   "nameserver " + NameServer.Addr().String() + "\nsearch search.example\noptions ndots:1 timeout:1\n",
		"hosts":         "127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n10.0.0.7 hosts-file.example\nfd00::7 hosts-file-six.example\n",
		"nsswitch.conf": "hosts: files dns\n",
	} {
		if err := cover(filepath.Join("/etc", name), filepath.Join(folder, name), text); err != nil {
			return nil, err
		}
	}
	n := &Network{server: &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusGone)
		}
		_, _ = io.WriteString(w, r.Host) // whoever does not wait for it does not want it
	})}}
	var err error
	if n.names, err = net.ListenPacket("udp", NameServer.String()); err != nil {
		return nil, err
	}
	go new(nameServer).serve(n.names)
	for _, port := range Ports {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return nil, errors.Join(err, n.Close())
		}
		go func() { _ = n.server.Serve(l) }() // it ends by Close
	}
	return n, nil
}

// cover puts a file of ours over one that may be missing.
func cover(path, with, text string) error {
	if err := os.WriteFile(with, []byte(text), 0o644); err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		if os.IsNotExist(err) {
			return nil // then there is nothing in it to lead anywhere
		}
		return err
	}
	if err := syscall.Mount(with, path, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("lay a file over %s: %w", path, err)
	}
	return nil
}

// Close ends what answers in the network.
func (n *Network) Close() error { return errors.Join(n.server.Close(), n.names.Close()) }
