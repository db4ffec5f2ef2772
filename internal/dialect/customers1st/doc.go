// Package customers1st is the contract of Customers 1st: its REST hooks on the
// wire, and its API to manage them. C1-… are the numbers of the requirement
// list.
package customers1st
