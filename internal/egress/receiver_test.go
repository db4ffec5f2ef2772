package egress_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
)

// receiverEnv makes the test binary a receiver for the benchmarks, over the
// scheme that it names, in a process of its own so that its CPU time is not
// counted.
const receiverEnv = "GRAPNEL_TEST_RECEIVER"

// silentPath is where the receiver says nothing until the sender gives up.
const silentPath = "/silent"

// serveReceiver answers 200 to everything else until its standard input ends.
func serveReceiver(scheme string) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path == silentPath {
			<-r.Context().Done()
			return
		}
		io.WriteString(w, "ok")
	}))
	if scheme == "https" {
		s.StartTLS()
	} else {
		s.Start()
	}
	defer s.Close()
	os.Stdout.WriteString(s.URL + "\n")
	io.Copy(io.Discard, os.Stdin)
}
