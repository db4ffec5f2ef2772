package hook

import "strings"

// OperationalPrefix begins the types of operational events: what the server
// tells a tenant of its own accord. Publishers cannot use it, and an endpoint
// gets such an event only if it subscribes to the type by its full name.
const OperationalPrefix = "grapnel."

// Operational reports whether an event type is one of the server's own.
func Operational(eventType string) bool { return strings.HasPrefix(eventType, OperationalPrefix) }
