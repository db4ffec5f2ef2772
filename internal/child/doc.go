// Package child runs another program as a child process for the instruments:
// it starts it, waits until it is ready, ends it in either way, and reads what
// it costs (CPU, memory, descriptors). The crash harness and the benchmark
// stand on it, so that both drive the program from outside, as an operator
// does.
package child
