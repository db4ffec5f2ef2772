package dispatch

// list is a doubly linked list whose nodes lie inside the things it lists:
// joining and leaving cost no allocation and no search.
type list[T any] struct {
	first, last *node[T]
	n           int
}

// node is a place in one list at a time.
type node[T any] struct {
	of         T
	prev, next *node[T]
	in         *list[T]
}

// push appends a node that is in no list.
func (l *list[T]) push(n *node[T]) { l.insertAfter(n, l.last) }

// insertAfter puts a node that is in no list behind another one of this list,
// or at the beginning if that is nil.
func (l *list[T]) insertAfter(n, at *node[T]) {
	n.in, n.prev = l, at
	if at == nil {
		n.next, l.first = l.first, n
	} else {
		n.next, at.next = at.next, n
	}
	if n.next == nil {
		l.last = n
	} else {
		n.next.prev = n
	}
	l.n++
}

// leave takes a node out of its list, if it is in one, and reports whether it
// was.
func (n *node[T]) leave() bool {
	l := n.in
	if l == nil {
		return false
	}
	if n.prev == nil {
		l.first = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		l.last = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.prev, n.next, n.in = nil, nil, nil
	l.n--
	return true
}

// rotate puts the first node last and returns what it stands for. The list is
// not empty.
func (l *list[T]) rotate() T {
	n := l.first
	if l.n > 1 {
		n.leave()
		l.push(n)
	}
	return n.of
}
