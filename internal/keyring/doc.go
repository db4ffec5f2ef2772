// Package keyring keeps secrets unreadable at rest. It seals a secret with
// AES-256-GCM under the ring's first key and binds it to the tenant and the
// record that it belongs to, so that a ciphertext copied into another row
// does not open (case 104).
//
// A ring may hold several keys. The first one seals, all of them open: put a
// new key first to change keys, and take the old one out when nothing is
// sealed with it any more. A key's id is derived from the key, so the two
// cannot be mixed up.
package keyring
