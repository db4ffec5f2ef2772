// Package sim runs hours and days of traffic in seconds: the real store and the
// real dispatcher with a network of hundreds or thousands of endpoints that the
// test plays, in virtual time. It shows how retries spread, how an endpoint is
// met after an outage, and what each tenant gets when places are scarce, and
// asserts the bounds of each.
//
//	go test ./sim -v -seed 7
//
// prints what happened; the seed is in every message, and the same seed plays
// the same network.
package sim
