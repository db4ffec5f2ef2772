// Package catalogue reads and writes the catalogue of event types as documents that
// others know: OpenAPI 3.1 with webhooks, AsyncAPI, and JSON Schema. It fetches nothing:
// what a document refers to is inside of it.
package catalogue
