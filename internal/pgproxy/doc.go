// Package pgproxy stands between a client and a PostgreSQL server, and lets tests
// break what lies between them (cases 25, 26, 33 and 35): it swallows what one side
// says or both do, slows answers down, drops connections and notifications, and cuts
// a connection at a chosen moment of a chosen statement. It reads the protocol as far
// as it takes to know which statement is which; the server has to be reached without
// TLS.
package pgproxy
