package postgres

// Few has a copy made a few events at a time.
func Few(how ImportOptions) ImportOptions {
	how.events = 3
	return how
}
