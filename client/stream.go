package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Bounds of streams. The server sends something every 15 s.
const (
	streamSilence = 45 * time.Second // after which a connection is taken for broken
	minReconnect  = 100 * time.Millisecond
	maxReconnect  = 5 * time.Second
	maxLine       = 64 << 20
)

// ErrSilent: a stream sent nothing for so long that its connection must be
// broken.
var ErrSilent = errors.New("the stream has gone silent")

// message is one server-sent event.
type message struct {
	event string
	id    string // "": none of its own
	data  string // "": there was none
}

// follow reads a stream for as long as ctx lasts, and opens it again whenever
// it ends; open gives the request for that. handle gets each message, lost each
// reason why a stream that had begun has ended. It returns when one of them
// returns false (nil), when ctx ends, when the first connection fails, or when
// the server refuses in a way that asking again does not help.
func (c *Client) follow(ctx context.Context, open func() *request, handle func(message) bool, lost func(error) bool) error {
	wait, begun := minReconnect, false
	for {
		err := c.listen(ctx, open(), func() { wait, begun = minReconnect, true }, handle)
		if errors.Is(err, errEnough) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !begun || final(err) {
			return err
		}
		if !lost(err) {
			return nil
		}
		var refused *Error
		pause := wait/2 + rand.N(wait/2)
		if errors.As(err, &refused) && refused.RetryAfter > 0 {
			pause = min(refused.RetryAfter, maxReconnect)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		wait = min(2*wait, maxReconnect)
	}
}

// final reports whether a refusal will be the same the next time.
func final(err error) bool {
	var refused *Error
	if !errors.As(err, &refused) {
		return false
	}
	return refused.Status/100 == 4 && refused.Status != http.StatusTooManyRequests && refused.Status != http.StatusRequestTimeout
}

// errEnough: whoever reads the stream wants no more.
var errEnough = errors.New("enough")

// listen reads one connection's stream to its end.
func (c *Client) listen(ctx context.Context, r *request, opened func(), handle func(message) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(streamSilence, func() { cancel(ErrSilent) })
	defer silence.Stop()
	body, err := c.stream(ctx, r)
	if err != nil {
		return silent(ctx, err)
	}
	defer body.Close()
	opened()
	in := bufio.NewReaderSize(body, 64<<10)
	var m message
	for {
		line, err := readLine(in)
		if err != nil {
			return silent(ctx, err)
		}
		silence.Reset(streamSilence)
		if line != "" {
			m.take(line)
			continue
		}
		silence.Stop() // what handle takes is not the server's silence
		if m != (message{}) && !handle(m) {
			return errEnough
		}
		silence.Reset(streamSilence)
		m = message{}
	}
}

// silent tells why a connection ended, if we ended it.
func silent(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), ErrSilent) {
		return ErrSilent
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the server ended the stream")
	}
	return err
}

// take takes one line of a message.
func (m *message) take(line string) {
	field, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch field {
	case "event":
		m.event = value
	case "id":
		m.id = value
	case "data":
		if m.data != "" {
			m.data += "\n"
		}
		m.data += value
	}
}

// readLine reads a line without its end.
func readLine(in *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxLine {
			return "", fmt.Errorf("the stream has a line of more than %d bytes", maxLine)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return "", err
		}
		return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
	}
}
