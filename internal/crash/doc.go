// Package crash ends a server under load, again and again, and shows what that
// leaves behind (cases 1, 2, 5, 6, 7, 12 and 13).
//
// Run starts the built program as a child process, publishes to it over HTTP,
// receives and verifies what it delivers, ends it at a seeded moment (SIGKILL,
// SIGTERM, or a named crash point), starts it again on the same data folder,
// waits until everything has settled, and holds the ledgers of producer,
// receiver and store against each other. It knows the program from outside
// only.
//
// The tests run a few rounds with fixed seeds; flags ask for more:
//
//	go test ./internal/crash -count=1 -v -timeout 60m -run 'Kill|Restart' -kills 200 -restarts 100 -seed 7
package crash
