package hostile

import (
	"bytes"
	"io"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// HTTP2 speaks just enough HTTP/2 to misbehave: it takes the preface and the
// settings and calls react with the number of each stream whose request is
// complete. It needs ListenTLS with "h2" offered. When react returns false,
// nothing is read or said any more (case 48).
func HTTP2(react func(f *http2.Framer, stream uint32) bool) Behaviour {
	return func(c *Conn) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(c.reader, preface); err != nil || string(preface) != http2.ClientPreface {
			return
		}
		f := http2.NewFramer(c.Conn, c.reader)
		if f.WriteSettings() != nil {
			return
		}
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if s, ok := frame.(*http2.SettingsFrame); ok && !s.IsAck() {
				f.WriteSettingsAck()
			}
			if frame.Header().Flags.Has(http2.FlagDataEndStream) && ends(frame) && !react(f, frame.Header().StreamID) {
				c.Hang()
				return
			}
		}
	}
}

func ends(f http2.Frame) bool {
	t := f.Header().Type
	return t == http2.FrameData || t == http2.FrameHeaders
}

// HTTP2Status answers a stream with a status and no body.
func HTTP2Status(f *http2.Framer, stream uint32, status string) error {
	var b bytes.Buffer
	if err := hpack.NewEncoder(&b).WriteField(hpack.HeaderField{Name: ":status", Value: status}); err != nil {
		return err
	}
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: true})
}
