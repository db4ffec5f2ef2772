// Package api2cart is the contract of API2Cart: the file beside this one, and
// the vendor's management API at its documented paths, /v1.0/ and /v1.1/.
//
// That API is calls of methods: the method is the path, what it wants may come
// in the query, in a form or as JSON, and the answer is always 200 with an
// envelope whose return_code says how it went. /v1.0/ speaks as the older
// documents say, /v1.1/ as the newer ones; where that differs, a comment names
// the requirement.
//
// A call carries two keys. api_key is a key with the scope manage; store_key is
// the secret that signs for a tenant, and so it selects the tenant.
package api2cart
