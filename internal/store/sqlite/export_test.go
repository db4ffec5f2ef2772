package sqlite

// Settle seals what is full and waits for it.
func (s *Store) Settle() error { return s.maintain() }
