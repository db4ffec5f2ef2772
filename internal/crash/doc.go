// Package crash ends a server under load, again and again, and shows what that
// leaves behind (cases 1, 2, 5, 6, 7, 12 and 13); and several servers on one
// PostgreSQL database, or what they stand on (cases 12, 22, 23, 25, 26, 27, 33, 35 and
// 36).
//
// Run starts the built program as a child process, publishes to it over HTTP,
// receives and verifies what it delivers, ends it at a seeded moment (SIGKILL,
// SIGTERM, or a named crash point), starts it again on the same data folder
// or PostgreSQL database, waits until everything has settled, and holds the ledgers of producer,
// receiver and store against each other. It knows the program from outside
// only.
//
// RunNodes does so with several servers, any of which takes what is published: it also
// stops and cuts them off, and restarts the database or has its standby take over. The
// database itself is made to note who held what, and what was recorded by whom, so that
// what must not be is found even where nothing came of it.
//
// The tests run a few rounds with fixed seeds; flags ask for more:
//
//	go test ./internal/crash -count=1 -v -timeout 60m -run 'Kill|Restart' -kills 200 -restarts 100 -seed 7
//	go test ./internal/crash -count=1 -v -timeout 60m -run OnPostgres -pgkills 210 -pgpoints 14 -seed 7
//	go test ./internal/crash -count=1 -v -timeout 60m -run 'Nodes|TakeOver|Rolling|Failover' -rounds 100 -takeovers 30 -rollings 60 -failovers 10
package crash
