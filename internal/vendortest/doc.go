// Package vendortest holds the contracts of vendors against what they meet: a
// whole server, receivers that are the vendors' own snippets in PHP and
// JavaScript, and schedules of hours and days in virtual time. Only tests
// import it.
package vendortest
