// Package propstack is the contract of Propstack: its webhooks on the wire,
// and its API to manage them. PS-… are the numbers of the requirement list.
package propstack
