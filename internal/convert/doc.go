// Package convert runs the programs that make an event's data of another
// shape: jq, written by the provider, never by customers.
//
// A program is checked when it is stored: it compiles, and asks for nothing
// that is not in its input. There is no environment, no further input, no file,
// no module, no clock and no zone, so that the same data always gives the same
// result. At run time it must give exactly one result, within a deadline, of a
// bounded size and depth.
//
// # Where programs run
//
// jq can ask for a stack or for memory that ends the process, which nothing in
// the process can prevent, and no deadline reaches into its larger operations. So
// a server has a Pool: it starts this very program again as a child, which
// begins by Child, and sends it programs and data over a pipe. A child has a
// bounded stack and memory, and is killed when it is late; a program that ends
// its child has made a mistake, and the next one gets another child. Children
// know nothing: no environment, no open files, no connections but to the parent,
// and they end when it does. That is no sandbox for programs of strangers: only
// the provider may write them.
//
// What counts of a program's time is what it had of the processors, where the
// system tells: else a machine with too much to do would make good programs fail.
//
// # What becomes of the data
//
// Numbers that the program only passes on keep their digits, 1.10 and
// 12345678901234567890 alike. Those that it computes with become integers of
// any size or 64-bit floats. The members of an object come out sorted by name,
// in byte order, for jq's objects have no order; texts come out with no more
// escapes than JSON needs.
package convert
