// Package image checks what deploy/ packs: that the Dockerfile is one, and that
// the program runs where it has nothing but itself and its data folder.
package image
