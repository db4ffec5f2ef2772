package postgres

// SetLanesLook says how many events Lanes looks at before it estimates.
func (s *Store) SetLanesLook(n int) { s.lanesLook = n }

// SetPendingExactly says how many pending deliveries Lanes counts all of.
func (s *Store) SetPendingExactly(n int64) { s.pendingExactly = n }

// SetDropAtOnce says how many bytes of tables are dropped at once.
func (s *Store) SetDropAtOnce(n int64) { s.dropAtOnce = n }
