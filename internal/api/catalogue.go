package api

import (
	"net/http"
	"slices"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// Codes that only this face has.
const (
	codeUnsupported hook.Code = "unsupported_media_type" // a request in a form that the server does not read
	codeMethod      hook.Code = "method_not_allowed"     // another method than the address takes
)

// meaning is how a code is told to a caller.
type meaning struct {
	code    hook.Code
	status  int
	title   string
	meaning string // what has happened, in a sentence or two
	advice  string // what to do about it
}

// problemCatalogue is the one table of problems, by status. The answers to
// GET /v1/problems/{code}, the OpenAPI document and docs/errors.md are made
// from it.
func problemCatalogue() []meaning {
	return []meaning{
		{hook.CodeInvalid, http.StatusBadRequest, "Invalid request",
			"The request is wrong as it stands, and would be at any other time. detail says what is wrong with it, and each of errors points at a place in the body (RFC 6901). Nothing was stored.",
			"Change what errors points at and send the request again. Unchanged it will fail again."},
		{hook.CodeUnauthorized, http.StatusUnauthorized, "Not authenticated",
			"The request has no key, or one that the server does not know: misspelt, revoked or expired.",
			"Send a valid key as Authorization: Bearer KEY. An admin key lists the keys by GET /v1/keys and makes another one by POST /v1/keys."},
		{hook.CodeForbidden, http.StatusForbidden, "Not allowed",
			"The key is valid but lacks the scope that this request needs. The API document names the scope of each operation.",
			"Use a key with that scope, or have one made."},
		{hook.CodeNotFound, http.StatusNotFound, "Not found",
			"There is no such thing, not any more, or it belongs to a tenant that the key does not cover: the answer is the same, so that nobody learns what others have.",
			"Check the address, the ids in it, and whether the key covers the tenant. Events and deliveries are removed when their retention ends."},
		{codeMethod, http.StatusMethodNotAllowed, "Method not allowed",
			"The address exists, but not for this method.",
			"Use one of the methods that the Allow header lists."},
		{hook.CodeConflict, http.StatusConflict, "Conflict",
			"The present state of things does not allow it, or, with a Retry-After header, the same request is still being worked on under its Idempotency-Key.",
			"Read detail: it says which state is in the way. With Retry-After, send the same request again after that many seconds."},
		{manage.CodePrecondition, http.StatusPreconditionFailed, "Precondition failed",
			"The thing is not as If-Match or If-None-Match wants it: somebody else has changed it, or made it, or it is gone. Nothing was changed.",
			"Read it again, decide anew, and send the ETag of what you read."},
		{hook.CodeTooLarge, http.StatusRequestEntityTooLarge, "Too large",
			"The request, or an event in it, is over the server's limit. Nothing of it was stored, or nothing of that event.",
			"Make it smaller: send fewer events at once, or put what is large elsewhere and send its address. The operator sets the limit by --max-event-size."},
		{codeUnsupported, http.StatusUnsupportedMediaType, "Unsupported encoding",
			"The body is compressed or otherwise encoded, and the server reads it only as it is.",
			"Send the body without Content-Encoding."},
		{hook.CodeMismatch, http.StatusUnprocessableEntity, "Key used for something else",
			"The Idempotency-Key, or the event's id, came before with other content. Nothing was stored.",
			"Use a new key or id for new content. To repeat a request, repeat it byte for byte."},
		{hook.CodeUnfit, http.StatusUnprocessableEntity, "Does not fit the schema",
			"The event type has a JSON Schema, and the event's data, or the type's own sample, is not as that wants it. Each of errors points at a place that is not, the first few of them. Nothing of the event was stored.",
			"Correct what errors points at. GET /v1/event-types/{type} shows the schema. If that is wrong, an admin key changes it, or sets validate to false."},
		{manage.CodeUnsuitable, http.StatusUnprocessableEntity, "Not possible in this dialect",
			"The request is well formed, but the endpoint's dialect, which is the wire contract that it speaks, has no place for it.",
			"Read detail: it says what the dialect cannot do. Leave it out, or use an endpoint of another dialect."},
		{hook.CodeRateLimited, http.StatusTooManyRequests, "Too many requests",
			"The key has made more requests than the operator allows it, or a tenant has published more than its quota, has too many deliveries waiting or too much under way at once, or the key has as many live streams open as one may have, or too many requests with a wrong key came from the caller's address. detail says which. Nothing was stored.",
			"Send the request again after the number of seconds that Retry-After gives, and slow down. Where there is no Retry-After, end a live stream first. Where the key was wrong, correct it."},
		{hook.CodeInternal, http.StatusInternalServerError, "Internal error",
			"The fault is the server's. Whether anything was stored is open.",
			"Give the operator the request's id, which is in instance: the server's log says more under it. To try again safely, send the same id or Idempotency-Key."},
		{hook.CodeUnavailable, http.StatusServiceUnavailable, "Unavailable",
			"The server cannot do this just now: it is stopping, its storage is full, too slow or does not answer, too many deliveries wait, or too much is being published at once.",
			"Send the request again after the number of seconds that Retry-After gives, with the same id or Idempotency-Key, since what detail leaves open may have been stored."},
		{codeLoop, http.StatusLoopDetected, "Loop detected",
			"The request is the delivery of a Grapnel server, this one or another: an endpoint's URL leads to this API, with a key in its headers. What it asks for would cause more deliveries, and so on. Nothing was stored.",
			"Point the endpoint at a program of your own, and let that publish what it makes of the events."},
	}
}

// meanings is how a code is told.
func meanings(code hook.Code) (meaning, bool) {
	all := problemCatalogue()
	i := slices.IndexFunc(all, func(m meaning) bool { return m.code == code })
	if i < 0 {
		return meaning{}, false
	}
	return all[i], true
}
