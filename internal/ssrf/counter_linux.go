package ssrf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Counter counts the packets that ask for a connection (SYN), and those of UDP, by where
// they are to go. It sees what the kernel hands to the device, so that nothing which leaves
// a socket escapes it, whether somebody listens there or not.
type Counter struct {
	fd            int
	ignore        []netip.AddrPort
	counts        chan count
	closing, over chan struct{}
}

// NewCounter counts on the loopback device of this process's network. Packets to and
// from the addresses of ignore, which the test itself uses, do not count.
func NewCounter(ignore ...netip.AddrPort) (*Counter, error) {
	all := binary.BigEndian.Uint16([]byte{byte(unix.ETH_P_ALL), byte(unix.ETH_P_ALL >> 8)})
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return nil, fmt.Errorf("a socket that sees all packets: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	patience := unix.NsecToTimeval(int64(20 * time.Millisecond))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	c := &Counter{fd: fd, ignore: ignore, counts: make(chan count), closing: make(chan struct{}), over: make(chan struct{})}
	go c.watch()
	return c, nil
}

// count is what came since the last one that was taken.
type count struct {
	seen map[netip.AddrPort]int
	err  error
}

// Take gives what was counted since the last time, by destination. Whatever was sent before
// Take is called is in it: the device is in memory, and a packet is queued as it is sent.
// An error says that packets were missed.
func (c *Counter) Take() (map[netip.AddrPort]int, error) {
	now := <-c.counts
	return now.seen, now.err
}

// watch reads packets as they come, so that the queue is never long, and hands out the
// count when nothing is queued.
func (c *Counter) watch() {
	defer close(c.over)
	now := count{seen: map[netip.AddrPort]int{}}
	buf := make([]byte, 128)
	for {
		n, link, err := unix.Recvfrom(c.fd, buf, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			now.err = errors.Join(now.err, c.missed())
			select {
			case c.counts <- now:
				now = count{seen: map[netip.AddrPort]int{}}
			case <-c.closing:
				return
			default:
			}
		case errors.Is(err, unix.EINTR):
		case err != nil:
			now.err = errors.Join(now.err, err)
			select {
			case c.counts <- now:
			case <-c.closing:
				return
			}
		default:
			c.note(now.seen, link, buf[:n])
		}
	}
}

// note counts a packet, as it leaves: each comes once more as it arrives.
func (c *Counter) note(seen map[netip.AddrPort]int, link unix.Sockaddr, packet []byte) {
	if l, ok := link.(*unix.SockaddrLinklayer); !ok || l.Pkttype != unix.PACKET_OUTGOING {
		return
	}
	if from, to, ok := asks(packet); ok && !slices.Contains(c.ignore, from) && !slices.Contains(c.ignore, to) {
		seen[to]++
	}
}

// missed is an error if the socket's queue was too short for what came.
func (c *Counter) missed() error {
	stats, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return err
	}
	if stats.Drops > 0 {
		return fmt.Errorf("%d packets were not counted", stats.Drops)
	}
	return nil
}

// Close ends the counting.
func (c *Counter) Close() error {
	close(c.closing)
	<-c.over
	return unix.Close(c.fd)
}

// asks gives where a packet that begins something comes from and goes to: a SYN without
// ACK, or any datagram.
func asks(p []byte) (from, to netip.AddrPort, ok bool) {
	var rest []byte
	var source, target netip.Addr
	var protocol byte
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		source, target, protocol = netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20])), p[9]
		rest = p[min(int(p[0]&15)*4, len(p)):]
	case len(p) >= 40 && p[0]>>4 == 6:
		source, target, protocol = netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40])), p[6]
		rest = p[40:]
	}
	const fin, syn, rst, ack = 1, 2, 4, 16
	switch {
	case protocol == unix.IPPROTO_TCP && len(rest) >= 14 && rest[13]&(fin|syn|rst|ack) == syn,
		protocol == unix.IPPROTO_UDP && len(rest) >= 4:
		return netip.AddrPortFrom(source, binary.BigEndian.Uint16(rest)), netip.AddrPortFrom(target, binary.BigEndian.Uint16(rest[2:])), true
	}
	return from, to, false
}
