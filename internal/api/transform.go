package api

import "grapnel/internal/hook"

// mayProgram refuses a program of somebody who may not write any (design: Languages). One
// that the endpoint has already, as it was read, changes nothing.
func mayProgram(c *call, in field[string], current *hook.Endpoint) error {
	if in.value == "" || current != nil && current.Transform == in.value || c.tenant.Programs || c.caller.Provider() {
		return nil
	}
	return &hook.Error{Code: hook.CodeForbidden, Field: "/transform",
		Message: "the tenant may not write programs: leave it out, or have the operator set programs of the tenant to true"}
}
