package api

// Routes lists the patterns of all routes.
func Routes() []string {
	var out []string
	for _, r := range new(API).routes() {
		out = append(out, r.pattern)
	}
	return out
}
