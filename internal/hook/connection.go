package hook

import "time"

// Connection is a lost connection with the tenant's store, which endpoints of
// some dialects are told of again and again until it is restored (A2-LOST).
type Connection struct {
	LostAt  time.Time
	Code    int       // why, not 0
	Reason  string    // in a few words, such as "incorrect store key"
	Message string    // what to do, and what follows otherwise
	Told    int       // how many times the endpoints have been told
	NextAt  time.Time // when they are told again
}
