package crash

import (
	"net"
	"sync"

	"grapnel/internal/child"
)

// senders tells which node made a connection. What asks while the system's tables are
// being read waits for the next reading, which is for all that do.
type senders struct {
	nodes func() map[int]string // the names of those that run, by process id

	mu      sync.Mutex
	waiting []*asked
	reading bool
}

// asked is a question for the node of a connection.
type asked struct {
	conn net.Conn
	node string
	told chan struct{}
}

// of is the name of the node with the other end of a connection; "" where there is none.
func (s *senders) of(conn net.Conn) string {
	a := &asked{conn: conn, told: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, a)
	if !s.reading {
		s.reading = true
		go s.read()
	}
	s.mu.Unlock()
	<-a.told
	return a.node
}

// read answers until nobody asks any more.
func (s *senders) read() {
	for {
		s.mu.Lock()
		batch := s.waiting
		s.waiting = nil
		if len(batch) == 0 {
			s.reading = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		s.answer(batch)
	}
}

func (s *senders) answer(batch []*asked) {
	names := s.nodes()
	conns, pids := make([]net.Conn, len(batch)), make([]int, 0, len(names))
	for i, a := range batch {
		conns[i] = a.conn
	}
	for pid := range names {
		pids = append(pids, pid)
	}
	for i, pid := range child.Owners(conns, pids) {
		batch[i].node = names[pid]
		close(batch[i].told)
	}
}

// running are the names of all nodes by their processes' ids.
func (w *nodes) running() map[int]string {
	names := map[int]string{}
	for _, n := range w.all {
		n.mu.Lock()
		if n.process != nil {
			names[n.process.PID()] = n.name()
		}
		n.mu.Unlock()
	}
	return names
}
