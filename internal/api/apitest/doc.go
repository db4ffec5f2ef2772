// Package apitest holds HTTP exchanges against the API's OpenAPI document, for
// the tests of whoever serves or calls the API.
package apitest
