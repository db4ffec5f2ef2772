// Package explain finds out why a received webhook does not verify. It looks at
// every part of the request by itself, and then undoes the mistakes that
// receivers and senders are known to make (a body that was parsed and written
// anew, a secret in the wrong form, a timestamp in milliseconds), one after
// the other, until a signature fits: what was undone then is what went wrong.
//
// Like the contracts it asks, it is pure. Nothing in a report shows a secret.
package explain
