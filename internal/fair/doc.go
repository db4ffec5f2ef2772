// Package fair lets several parties wait for one thing in turns, so that none
// of them makes the others wait by asking for a lot.
package fair
