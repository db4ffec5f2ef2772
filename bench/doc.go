// Package bench measures Grapnel as an operator meets it: the server, the load
// generator and the receiver are three processes of the same program, which
// talk HTTP over loopback and share the machine's cores.
//
// Run executes scenarios and prints a table or JSON; the figures that matter
// are ratios against the bare limit (a plain net/http client that posts the
// same signed bodies to the same receiver) or against an idle baseline, taken
// in the same run. docs/benchmarks.md says how each figure is measured.
//
// A file for each scenario says what it does to a site, which is a server and a
// receiver: window.go takes the numbers of a stretch of load on it, report.go
// collects them over the runs, series.go and svg.go tell and draw how latency went
// over time. load.go, receiver.go, bare.go and seed.go are what the worker
// processes do.
//
// Worker is the entry point of the load, receiver, bare-client and seed
// processes; the program exposes it as the hidden command "bench-worker ROLE".
package bench
