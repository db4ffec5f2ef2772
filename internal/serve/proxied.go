package serve

import "net/http"

// apart ends connections that callers share, as a proxy's are, behind a request whose end
// the proxy may have seen elsewhere: what follows would be taken for the next caller's
// (case 71). Such a request has a body in chunks, for net/http does not tell whether it
// had a length too, or is of HTTP/1.0, where chunks are none (RFC 9112, 6.1). Whatever
// else is in doubt net/http refuses.
func apart(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1)) && proxied(r.Header) {
			w.Header()["Connection"] = []string{"close"}
		}
		next.ServeHTTP(w, r)
	})
}

// proxied reports whether a request says that it came through a proxy, which it may say
// of itself: it loses its connection by that, and nothing else.
func proxied(h http.Header) bool {
	return len(h["X-Forwarded-For"]) > 0 || len(h["Forwarded"]) > 0 || len(h["Via"]) > 0
}
