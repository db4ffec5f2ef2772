package api

// FailingClients is how many addresses are remembered for their wrong keys.
func (a *API) FailingClients() int { return a.callers.Failing() }
