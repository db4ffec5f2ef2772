//go:build !unix

package pgserver

import "syscall"

// Elsewhere we run as somebody whom PostgreSQL takes.
func giveAway(string) error { return nil }

func attributes() (*syscall.SysProcAttr, error) { return nil, nil }
