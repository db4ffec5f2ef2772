// Package codec writes what a store keeps in as few bytes as it can, the same in
// every engine: times, whom an event goes to, what came of an attempt, values that
// may be compressed. And it reads the records that people configure faster than
// encoding/json does. Bytes in, values out: it knows nothing of files or tables.
package codec
