package child

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"
)

// Owners finds out which of some processes has the other end of each of these accepted
// connections, of TCP over IPv4. It is 0 where none has. The system's tables are read
// once for all of them.
func Owners(accepted []net.Conn, pids []int) []int {
	owners := make([]int, len(accepted))
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return owners
	}
	inodes := inodesOf(string(text))
	holders := holdersOf(pids)
	for i, c := range accepted {
		owners[i] = holders[inodes[inTable(c.RemoteAddr())+" "+inTable(c.LocalAddr())]]
	}
	return owners
}

// holdersOf finds which process has which socket, by what its descriptor is a link to.
func holdersOf(pids []int) map[string]int {
	holders := map[string]int{}
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // it has ended
		}
		for _, e := range entries {
			if target, err := os.Readlink(dir + "/" + e.Name()); err == nil && strings.HasPrefix(target, "socket:") {
				holders[target] = pid
			}
		}
	}
	return holders
}

// inodesOf reads the kernel's table of sockets: the second field of a line is the local
// address, the third the other side's, and the tenth the inode, which is 0 where no
// process has the socket any more. It returns what a descriptor is a link to, by both
// addresses: connections to different servers may have one local address.
func inodesOf(table string) map[string]string {
	inodes := map[string]string{}
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 9 && f[9] != "0" {
			inodes[f[1]+" "+f[2]] = "socket:[" + f[9] + "]"
		}
	}
	return inodes
}

// inTable is an address as the kernel's table has it; "" for one that it has not.
func inTable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp.IP.To4() == nil {
		return ""
	}
	ip := make([]byte, 4)
	binary.NativeEndian.PutUint32(ip, binary.BigEndian.Uint32(tcp.IP.To4()))
	return fmt.Sprintf("%s:%04X", strings.ToUpper(hex.EncodeToString(ip)), tcp.Port)
}
