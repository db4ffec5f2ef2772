package api

import "grapnel/internal/hook"

// Routes lists the patterns of all routes.
func Routes() []string {
	var out []string
	for _, r := range new(API).routes() {
		out = append(out, r.pattern)
	}
	return out
}

// Problem is a row of the catalogue.
type Problem struct {
	Code            hook.Code
	Status          int
	Title           string
	Meaning, Advice string
}

// Problems is the catalogue.
func Problems() []Problem {
	var out []Problem
	for _, m := range problemCatalogue() {
		out = append(out, Problem{m.code, m.status, m.title, m.meaning, m.advice})
	}
	return out
}
