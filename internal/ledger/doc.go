// Package ledger is the one checker that every system test uses. Three
// independent books are kept while a system runs: what the producer was
// promised (Producer), what receivers saw (Receiver), and what the store says
// in the end (Dump). Check holds them against each other and returns every
// violation of the invariants I1 to I6, I9 and I11 as a sentence:
//
//	I1  no loss      what was acknowledged is delivered, waiting, or given up on record
//	I2  no phantom   what a receiver saw was published
//	I3  bytes        every attempt carried the bytes that were published
//	I4  audit        every request has an attempt row, or was in flight at a fault
//	I5  duplicates   at most one extra success for each attempt in flight at a fault
//	I6  liveness     nothing due to a healthy endpoint is left lying
//	I9  signatures   every request verified when it came
//	I11 hygiene      descriptors and goroutines return to where they were
//
// It knows Grapnel only from outside (HTTP), and verifies signatures with
// other people's code, so that an error of the product cannot hide in it.
package ledger
