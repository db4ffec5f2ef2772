package api

import (
	"errors"
	"net/http"
	"strconv"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

// problem is an error as RFC 9457 shapes it.
type problem struct {
	Type     string         `json:"type" doc:"an address on this server that explains the problem" example:"/v1/problems/invalid"`
	Title    string         `json:"title" doc:"the kind of problem" example:"Invalid request"`
	Status   int            `json:"status" doc:"the HTTP status" example:"400"`
	Detail   string         `json:"detail" doc:"what is wrong here, and what to do" example:"/url is missing"`
	Instance string         `json:"instance,omitzero" doc:"the request's id, which is in the server's log" example:"req_2v6c0q8d1k"`
	Errors   []problemField `json:"errors,omitempty" doc:"what is wrong, place by place"`
}

// problemField says what is wrong with one part of the input.
type problemField struct {
	Pointer string `json:"pointer" doc:"JSON pointer (RFC 6901) into the body" example:"/url"`
	Detail  string `json:"detail" doc:"what is wrong there" example:"is missing"`
}

func problemType(code hook.Code) string { return "/v1/problems/" + string(code) }

// problemOf makes what a caller is told of an error. What is ours stays ours.
func problemOf(err error, instance string) problem {
	e := manage.Told(err)
	m, ok := meanings(e.Code)
	if !ok {
		e = &hook.Error{Code: hook.CodeInternal}
		m, _ = meanings(e.Code)
	}
	p := problem{Type: problemType(e.Code), Title: m.title, Status: m.status, Detail: e.Message, Instance: instance}
	if e.Code == hook.CodeInternal {
		p.Detail = m.advice
	}
	if e.Field != "" {
		p.Detail = e.Field + " " + e.Message
		p.Errors = []problemField{{Pointer: e.Field, Detail: e.Message}}
		for _, also := range e.Also {
			p.Errors = append(p.Errors, problemField{Pointer: also.Field, Detail: also.Message})
		}
	}
	return p
}

// fail answers with an error, and logs it if it is ours.
func (a *API) fail(c *call, err error) {
	if e := manage.Told(err); e.Code == hook.CodeInternal || e.Code == hook.CodeUnavailable && !meant(e) && c.r.Context().Err() == nil {
		a.Logger.Error("request failed", "request_id", c.id[0], "route", route(c.r), "code", e.Code, "error", err)
	}
	if c.Status == 0 { // else it is too late to say
		c.problem(err)
	}
}

// meant reports whether a refusal is back-pressure, which metrics count: a line in
// the log for each would be one more flood. Of a full storage ingest tells the log.
func meant(e *hook.Error) bool {
	return e.RetryAfter > 0 && (e.Err == nil || errors.Is(e.Err, store.ErrFull))
}

// retryAfter is how many seconds a caller should wait. Most troubles that pass
// do so within one.
const retryAfter = "1"

func retryIn(err error) string {
	if wait := manage.Told(err).RetryAfter; wait > 0 {
		return strconv.Itoa(hook.Seconds(wait))
	}
	return retryAfter
}

func (c *call) problem(err error) {
	p := problemOf(err, c.id[0])
	switch p.Status {
	case http.StatusUnauthorized:
		c.Header().Set("WWW-Authenticate", `Bearer realm="grapnel"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if c.Header().Get("Retry-After") == "" {
			c.Header().Set("Retry-After", retryIn(err))
		}
	}
	c.write(p)
}

func (c *call) write(p problem) {
	b, err := marshal(p)
	if err != nil { // texts and numbers always marshal once bad UTF-8 is allowed
		b = []byte("{}")
	}
	c.Header().Set("Content-Type", "application/problem+json")
	c.WriteHeader(p.Status)
	c.Write(b)
}

// problemMeaning is what a problem's type points at.
type problemMeaning struct {
	Type    string `json:"type" doc:"the problem's type" example:"/v1/problems/not_found"`
	Title   string `json:"title" doc:"the kind of problem" example:"Not found"`
	Status  int    `json:"status" doc:"the HTTP status that it comes with" example:"404"`
	Meaning string `json:"meaning" doc:"what has happened" example:"There is no such thing."`
	Advice  string `json:"advice" doc:"what to do" example:"Check the id."`
}
