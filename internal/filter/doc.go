// Package filter evaluates the conditions that customers put on an endpoint:
// trees in JSON of and, or, not and {field, operator, value}, natively and in
// bounded time. Whether an event matches never fails: a field that is not
// there, or of another type, simply does not satisfy its condition.
package filter
