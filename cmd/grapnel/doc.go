// The program grapnel is the command line: it turns words into calls of the
// rooms that do the work, and how they end into texts and exit codes. One file
// holds one command.
package main
