// Package pgserver runs a PostgreSQL server of one's own: a cluster in a temporary
// folder that ends with the process which started it, however that ends. Tests (see
// pgtest) and the benchmark use it, nothing else does.
package pgserver
