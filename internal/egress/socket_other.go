//go:build !unix

package egress

// readNow is a read that waits as little as it can.
func (s *socket) readNow(p []byte) (int, error) { return s.readSoon(p) }

func (s *socket) readOnce(uintptr) bool { return true }
