// Package disk puts whole files into a folder so that they are there after a
// crash, and tells how much room there is.
package disk
