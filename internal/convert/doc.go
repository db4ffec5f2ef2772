// Package convert runs the programs that make an event's data of another
// shape: jq, written by the provider, never by customers.
//
// A program is checked when it is stored: it compiles, and asks for nothing
// that is not in its input. There is no environment, no further input, no file,
// no module, no clock and no zone, so that the same data always gives the same
// result. At run time it must give exactly one result, within a deadline, of a
// bounded size and depth. Memory is bounded by the deadline alone; that is why
// only the provider may write programs.
//
// # What becomes of the data
//
// Numbers that the program only passes on keep their digits, 1.10 and
// 12345678901234567890 alike. Those that it computes with become integers of
// any size or 64-bit floats. The members of an object come out sorted by name,
// in byte order, for jq's objects have no order; texts come out with no more
// escapes than JSON needs.
package convert
