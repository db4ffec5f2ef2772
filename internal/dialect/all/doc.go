// Package all lists the dialects that are built in. A new vendor is a folder
// and one line here.
package all
