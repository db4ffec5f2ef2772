package dispatch_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// case 113: what an endpoint answers at length, for ever, does not fill the disk,
// whether its lane has work all the time or now and then. Short answers and those
// of others are kept whole.
func TestAnswersAreKeptWithinBounds(t *testing.T) {
	t.Parallel()
	for name, pause := range map[string]time.Duration{"always": time.Second, "now and then": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, func(w *world) {
				body := bytes.Repeat([]byte("x"), 64<<10)
				header := http.Header{"A": {strings.Repeat("y", 1<<10)}, "B": {strings.Repeat("z", 8<<10)}}
				w.answers(1, func(context.Context, int) *egress.Result {
					return &egress.Result{Status: 200, Proto: "HTTP/1.1", Header: header, Body: body}
				})
				w.answers(2, func(context.Context, int) *egress.Result {
					return &egress.Result{Status: 500, Proto: "HTTP/1.1", Header: http.Header{"A": {"b"}}, Body: body[:500]}
				})
				w.start()
				const events = 200
				for range events {
					w.publish(1, 2)
					time.Sleep(pause)
				}
				w.stop()
				most := 256<<10 + 64<<10*int(events*pause/(10*time.Minute)) + events*(3<<10)
				kept, whole := 0, 0
				for _, a := range w.queue.attempts {
					size := len(a.ResponseBody) + len(a.ResponseHeader)
					switch {
					case a.Key.Endpoint == 2 && (len(a.ResponseBody) != 500 || a.Omitted != 0 || a.Truncated):
						t.Fatalf("a short answer is kept as %d bytes, omitted %d", size, a.Omitted)
					case a.Key.Endpoint == 2:
					case a.Omitted == 0:
						whole++
						kept += size
					default:
						kept += size
						if !a.Truncated || len(a.ResponseBody) != 512 || string(a.ResponseHeader[:3]) != "A: " || !bytes.HasSuffix(a.ResponseHeader, []byte("y\r\n")) {
							t.Fatalf("body of %d bytes, truncated %t, header of %d", len(a.ResponseBody), a.Truncated, len(a.ResponseHeader))
						}
						if all := len(body) + len("A: \r\nB: \r\n") + 9<<10; size+a.Omitted != all {
							t.Fatalf("%d are kept and %d omitted of %d", size, a.Omitted, all)
						}
					}
				}
				if least := 3 + int(events*pause/(12*time.Minute)); kept > most || whole < least {
					t.Errorf("%d bytes are kept, %d answers whole; want at most %d bytes, and %d whole", kept, whole, most, least)
				}
			})
		})
	}
}

// case 113: what is remembered of long answers keeps no lane in memory, or many
// endpoints that answer at length would fill that instead.
func TestLanesGoWhateverWasAnswered(t *testing.T) {
	const many = 100
	inBubble(t, many, func(w *world) {
		body := bytes.Repeat([]byte("x"), 64<<10)
		w.start()
		for num := range hook.EndpointNum(many) {
			w.answers(num+1, func(context.Context, int) *egress.Result {
				return &egress.Result{Status: 200, Proto: "HTTP/1.1", Body: body}
			})
			w.publish(num + 1)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := w.d.Gauges().Lanes; n != 0 {
			t.Errorf("%d lanes without work are in memory", n)
		}
		w.stop()
	})
}
