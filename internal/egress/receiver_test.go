package egress_test

import (
	"io"
	"net"
	"net/http"
	"os"
)

// receiverEnv makes the test binary a receiver for the benchmarks, in a
// process of its own so that its CPU time is not counted.
const receiverEnv = "GRAPNEL_TEST_RECEIVER"

// serveReceiver answers 200 to everything until its standard input ends.
func serveReceiver() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	os.Stdout.WriteString("http://" + l.Addr().String() + "/hook\n")
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	}))
	io.Copy(io.Discard, os.Stdin)
}
