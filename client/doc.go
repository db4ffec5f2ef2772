// Package client is the Go client of Grapnel's native API.
//
//	c, err := client.New(client.Config{URL: "https://hooks.example.com", Key: key})
//	receipt, err := c.Publish(ctx, "acme", client.Event{Type: "invoice.paid", Data: json.RawMessage(`{"id":1}`)})
//
// An error that the server answered with is an *Error. Publishing an Event
// with an ID of your own is safe to repeat: the server takes it in once.
package client
