// Package client is the Go client of Grapnel's native API, all of it.
//
//	c, err := client.New(client.Config{URL: "https://hooks.example.com", Key: key})
//	receipt, err := c.Publish(ctx, "acme", client.Event{Type: "invoice.paid", Data: json.RawMessage(`{"id":1}`)})
//
// # Errors
//
// An error that the server answered with is an *Error; CodeOf tells which one.
//
// # Trying again
//
// A call that is safe to repeat is tried again when the server asks for it (429
// or 503) or cannot be reached: every GET, changes by PUT, PATCH and DELETE, and
// any POST that has an IdempotencyKey, as well as publishing events that have
// an ID of your own. See Config.Retries.
//
// # Changing
//
// In inputs, a field that is not set stays as it is; Set gives it a value, and
// Null sets it back to its default:
//
//	c.UpdateEndpoint(ctx, "acme", id, client.EndpointInput{
//		State:   client.Set("paused"),
//		Timeout: client.Null[client.Duration](),
//	})
//
// Every answer that is one thing has its ETag in Meta, and IfMatch makes a
// change only if the thing is still as it was read:
//
//	e, err := c.Endpoint(ctx, "acme", id)
//	…
//	_, err = c.UpdateEndpoint(ctx, "acme", id, change, client.IfMatch(e.Meta.ETag))
//	if client.CodeOf(err) == client.CodePrecondition {
//		// somebody else was faster: read it again
//	}
//
// # Lists
//
// A list is an iterator over all its pages, which are asked for as they are
// needed, or one page of it, from which one can go both ways.
package client
