// Package callers stands between a face of the server and auth: it recognises
// who calls by the key that a request carries, finds out from which address,
// and holds back keys that are used too often and addresses that wrong keys
// come from (case 102).
package callers
