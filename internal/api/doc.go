// Package api is the native REST API under /v1. The shapes of its requests and
// answers live here and nowhere else; what they ask for is done by ingest,
// manage and dispatch.
//
// Every route stands in one table (routes.go) with the scope that it needs,
// and no handler runs before the caller's key was found to have it. Errors are
// problems of RFC 9457, made in one place (problem.go). The way of a publish
// is kept short: it is the one that runs thousands of times a second.
package api
