package hostile

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// HTTP2Habit is one way to misbehave over HTTP/2 (case 48).
type HTTP2Habit struct {
	Name   string
	Hangs  bool // nothing ends it but the sender's deadline
	Behave Behaviour
}

// HTTP2Habits are the ways to misbehave over HTTP/2 once a request has come,
// or before.
func HTTP2Habits() []HTTP2Habit {
	return append(earlyHabits(), append(endings(), append(floods(), malformed()...)...)...)
}

func earlyHabits() []HTTP2Habit {
	return []HTTP2Habit{
		{"HTTP/2: no settings, no answer", true, func(c *Conn) { c.Hang() }},
		{"HTTP/2: an answer of HTTP/1.1", false, func(c *Conn) {
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			c.Hang()
		}},
		{"HTTP/2: closes after the preface", false, func(c *Conn) { io.CopyN(io.Discard, c.reader, int64(len(http2.ClientPreface))) }},
		{"HTTP/2: impossible settings", false, func(c *Conn) {
			http2.NewFramer(c.Conn, c.reader).WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 2})
			c.Hang()
		}},
		{"HTTP/2: window of 0", true, func(c *Conn) {
			http2.NewFramer(c.Conn, c.reader).WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			c.Hang()
		}},
	}
}

// once is an HTTP/2 habit that is a reaction to each request.
func once(name string, hangs bool, react func(f *http2.Framer, stream uint32)) HTTP2Habit {
	return HTTP2Habit{name, hangs, HTTP2(func(f *http2.Framer, stream uint32) bool {
		f.AllowIllegalWrites = true
		react(f, stream)
		return !hangs
	})}
}

func endings() []HTTP2Habit {
	habits := []HTTP2Habit{
		once("HTTP/2: silent", true, func(*http2.Framer, uint32) {}),
		once("HTTP/2: GOAWAY that takes no stream", false, func(f *http2.Framer, _ uint32) { f.WriteGoAway(0, http2.ErrCodeNo, nil) }),
		once("HTTP/2: GOAWAY in mid-flight, then silence", true, func(f *http2.Framer, s uint32) { f.WriteGoAway(s, http2.ErrCodeNo, nil) }),
		once("HTTP/2: GOAWAY with much to say", false, func(f *http2.Framer, _ uint32) {
			f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, bytes.Repeat([]byte("x\r\n\x1b["), 3000))
		}),
		once("HTTP/2: status 999", false, func(f *http2.Framer, s uint32) { HTTP2Status(f, s, "999") }),
		once("HTTP/2: reset in the body", false, func(f *http2.Framer, s uint32) {
			writeFields(f, s, "500", nil)
			f.WriteData(s, false, []byte("half"))
			f.WriteRSTStream(s, http2.ErrCodeInternal)
		}),
	}
	for _, code := range []http2.ErrCode{http2.ErrCodeInternal, http2.ErrCodeRefusedStream, http2.ErrCodeProtocol, http2.ErrCodeEnhanceYourCalm, http2.ErrCodeHTTP11Required, http2.ErrCodeNo} {
		habits = append(habits, once("HTTP/2: RST_STREAM "+code.String(), false, func(f *http2.Framer, s uint32) { f.WriteRSTStream(s, code) }))
	}
	return habits
}

func floods() []HTTP2Habit {
	flood := func(write func(f *http2.Framer, stream uint32) error) func(*http2.Framer, uint32) {
		return func(f *http2.Framer, s uint32) {
			for write(f, s) == nil {
			}
		}
	}
	chunk := make([]byte, 16<<10)
	return []HTTP2Habit{
		once("HTTP/2: flood of SETTINGS", true, flood(func(f *http2.Framer, _ uint32) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 14})
		})),
		once("HTTP/2: flood of PING", true, flood(func(f *http2.Framer, _ uint32) error { return f.WritePing(false, [8]byte{}) })),
		once("HTTP/2: flood of unknown frames", true, flood(func(f *http2.Framer, _ uint32) error {
			return f.WriteRawFrame(0xee, 0, 0, chunk[:8])
		})),
		once("HTTP/2: flood of 103", true, flood(func(f *http2.Framer, s uint32) error { return writeFields(f, s, "103", nil) })),
		once("HTTP/2: flood of CONTINUATION", false, func(f *http2.Framer, s uint32) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: s, BlockFragment: fields("200", nil)})
			more := fields("", []hpack.HeaderField{{Name: "x-more", Value: strings.Repeat("x", 1000), Sensitive: true}})
			flood(func(f *http2.Framer, s uint32) error { return f.WriteContinuation(s, false, more) })(f, s)
		}),
		once("HTTP/2: flood of empty DATA", true, func(f *http2.Framer, s uint32) {
			writeFields(f, s, "500", nil)
			flood(func(f *http2.Framer, s uint32) error { return f.WriteData(s, false, nil) })(f, s)
		}),
		once("HTTP/2: endless body", true, func(f *http2.Framer, s uint32) { // past the window, which is an error of its own
			writeFields(f, s, "200", nil)
			flood(func(f *http2.Framer, s uint32) error { return f.WriteData(s, false, chunk) })(f, s)
		}),
		once("HTTP/2: header bomb", false, func(f *http2.Framer, s uint32) { // one field of 4 KB, named 10,000 times in a byte each
			block := fields("200", []hpack.HeaderField{{Name: "x-bomb", Value: strings.Repeat("x", 3900)}})
			block = append(block, bytes.Repeat([]byte{0x80 | 62}, 10_000)...)
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: s, BlockFragment: block, EndHeaders: true, EndStream: true})
		}),
	}
}

func malformed() []HTTP2Habit {
	raw := func(name string, kind http2.FrameType, flags http2.Flags, onStream bool, payload []byte) HTTP2Habit {
		return once("HTTP/2: "+name, false, func(f *http2.Framer, s uint32) {
			if !onStream {
				s = 0
			}
			f.WriteRawFrame(kind, flags, s, payload)
		})
	}
	number := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	end := http2.FlagHeadersEndHeaders | http2.FlagHeadersEndStream
	return []HTTP2Habit{
		raw("DATA on stream 0", http2.FrameData, 0, false, []byte("x")),
		raw("DATA before the header", http2.FrameData, 0, true, []byte("x")),
		raw("frame over the largest size", http2.FrameData, 0, true, make([]byte, 1<<20)),
		raw("padding longer than the frame", http2.FrameData, http2.FlagDataPadded, true, []byte{200, 1}),
		raw("window update of 0", http2.FrameWindowUpdate, 0, true, number(0)),
		raw("window update of 0 for the connection", http2.FrameWindowUpdate, 0, false, number(0)),
		raw("window that overflows", http2.FrameWindowUpdate, 0, false, number(1<<31-1)),
		raw("PING of 3 bytes", http2.FramePing, 0, false, []byte("abc")),
		raw("SETTINGS on a stream", http2.FrameSettings, 0, true, nil),
		raw("SETTINGS of 5 bytes", http2.FrameSettings, 0, false, []byte("abcde")),
		raw("PUSH_PROMISE", http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, true, append(number(2), fields("200", nil)...)),
		raw("CONTINUATION of nothing", http2.FrameContinuation, 0, true, fields("200", nil)),
		raw("broken HPACK", http2.FrameHeaders, end, true, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
		raw("no status", http2.FrameHeaders, end, true, fields("", []hpack.HeaderField{{Name: "x-a", Value: "b"}})),
		raw("status that is no number", http2.FrameHeaders, end, true, fields("two hundred", nil)),
		raw("header in upper case", http2.FrameHeaders, end, true, fields("200", []hpack.HeaderField{{Name: "X-A", Value: "b"}})),
		raw("CR LF in a header", http2.FrameHeaders, end, true, fields("200", []hpack.HeaderField{{Name: "x-a", Value: "b\r\nc: d"}})),
	}
}

// fields is a header block; without a status if that is "".
func fields(status string, more []hpack.HeaderField) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	if status != "" {
		more = append([]hpack.HeaderField{{Name: ":status", Value: status}}, more...)
	}
	for _, field := range more {
		_ = enc.WriteField(field) // writing to memory cannot fail
	}
	return b.Bytes()
}

// writeFields begins an answer.
func writeFields(f *http2.Framer, stream uint32, status string, more []hpack.HeaderField) error {
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: fields(status, more), EndHeaders: true})
}
