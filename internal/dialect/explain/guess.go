package explain

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"grapnel/internal/dialect"
)

// maxLikely bounds how many values are tried for one header that is missing.
const maxLikely = 64

// gatheredGuesses are for contracts that sign all headers whose names begin in
// one way (A2-S1): whatever adds, removes or decodes one of them on the way
// breaks the signature.
func (w *work) gatheredGuesses(as http.Header) []guess {
	out := w.missingGuesses(as)
	var added []string
	for _, g := range w.seen.Gathered {
		if !g.Own {
			added = append(added, g.Came)
			out = append(out, guess{header: without(as, g.Came), kinds: []Kind{HeaderAdded}, detail: "the header " + g.Came + " was not there when the request was signed"})
		}
		if values := as[g.Came]; len(values) == 1 {
			if text := latin1([]byte(values[0])); text != nil && string(text) != values[0] {
				out = append(out, guess{header: dialect.SetHeader(as, g.Came, string(text)), kinds: []Kind{Charset},
					detail: "the bytes of the header " + g.Came + " were taken for Latin-1 and written as UTF-8"})
			}
		}
	}
	if len(added) > 1 {
		out = append(out, guess{header: without(as, added...), kinds: []Kind{HeaderAdded}, detail: "the headers " + strings.Join(added, ", ") + " were not there when the request was signed"})
	}
	return out
}

// missingGuesses put back headers whose values can be guessed.
func (w *work) missingGuesses(as http.Header) []guess {
	var out []guess
	all, put := as, []string{}
	for _, h := range w.seen.Headers {
		if len(h.Values) > 0 || h.Holds == "signatures" {
			continue
		}
		likely := w.in.Dialect.Likely(h.Name)
		for i, value := range likely[:min(len(likely), maxLikely)] {
			out = append(out, guess{header: dialect.SetHeader(as, h.Name, value), kinds: []Kind{MissingHeader},
				detail: "the header " + h.Name + " is missing; with the value " + value + " the signature fits"})
			if i == 0 {
				all, put = dialect.SetHeader(all, h.Name, value), append(put, h.Name+": "+value)
			}
		}
	}
	if len(put) > 1 {
		out = append(out, guess{header: all, kinds: []Kind{MissingHeader}, detail: "headers are missing; with " + strings.Join(put, ", ") + " the signature fits"})
	}
	return out
}

func without(h http.Header, names ...string) http.Header {
	out := http.Header{}
	for name, values := range h {
		if !slices.Contains(names, name) {
			out[name] = values
		}
	}
	return out
}

// urlGuesses are the URLs as which the sender may know this one: a proxy
// changes the scheme, the port and the path that the receiver sees.
func (w *work) urlGuesses() []guess {
	if !w.in.Dialect.SignsURL() || w.in.URL == "" {
		return nil
	}
	u, err := url.Parse(w.in.URL)
	if err != nil || u.Host == "" {
		return nil
	}
	var out []guess
	add := func(detail string, change func(*url.URL)) {
		other := *u
		change(&other)
		if text := other.String(); text != w.in.URL {
			out = append(out, guess{url: text, kinds: []Kind{URLChanged}, detail: detail + ": signed was " + text})
		}
	}
	scheme := map[string]string{"http": "https", "https": "http"}[u.Scheme]
	port := map[string]string{"http": ":80", "https": ":443"}
	swap := func(o *url.URL) {
		if scheme != "" {
			o.Scheme = scheme
		}
	}
	slash := func(o *url.URL) {
		o.RawPath = ""
		if rest, ok := strings.CutSuffix(o.Path, "/"); ok {
			o.Path = rest
		} else {
			o.Path += "/"
		}
	}
	add("the scheme of the URL is another one", swap)
	add("the URL differs in the slash at the end of its path", slash)
	add("the URL differs in its scheme and in the slash at the end of its path", func(o *url.URL) { swap(o); slash(o) })
	add("the URL differs in its port", func(o *url.URL) { o.Host = u.Hostname() })
	add("the URL differs in its port", func(o *url.URL) { o.Host = u.Hostname() + port[o.Scheme] })
	add("the URL differs in its scheme and port", func(o *url.URL) { swap(o); o.Host = u.Hostname() })
	add("the URL differs in its scheme and port", func(o *url.URL) { swap(o); o.Host = u.Hostname() + port[o.Scheme] })
	add("the URL differs in its query", func(o *url.URL) { o.RawQuery, o.ForceQuery = "", false })
	add("the URL differs in the www. of its host", func(o *url.URL) {
		if rest, ok := strings.CutPrefix(o.Host, "www."); ok {
			o.Host = rest
		} else {
			o.Host = "www." + o.Host
		}
	})
	return out
}

// lookAtCase finds headers whose names came in another case where the case is
// signed: our own verifier knows the right one, others go by what they see.
func (w *work) lookAtCase() {
	var names []string
	for _, g := range w.seen.Gathered {
		if g.Came != g.Name {
			names = append(names, g.Came+" instead of "+g.Name)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		w.mistake(HeaderCase, "the names of headers came in another case than they were signed in: "+strings.Join(names, ", "))
	}
}
