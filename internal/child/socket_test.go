package child_test

import (
	"net"
	"os"
	"runtime"
	"testing"

	"grapnel/internal/child"
)

func TestOwners(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	me := os.Getpid()
	if pids := child.Owners([]net.Conn{accepted, accepted}, []int{1, me}); pids[0] != me || pids[1] != me {
		t.Errorf("the owners are %d, want %d", pids, me)
	}
	if pids := child.Owners([]net.Conn{accepted}, []int{os.Getppid()}); pids[0] != 0 {
		t.Errorf("the owner is %d, among others", pids)
	}
}
