package bench

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// bareConfig is what a bare client is asked to do.
type bareConfig struct {
	Addr        string        `json:"addr"` // of the receiver
	Size        int           `json:"size"` // bytes of data
	Connections int           `json:"connections"`
	Duration    time.Duration `json:"duration"`
	Rate        float64       `json:"rate"` // posts a second on a timetable; 0: each connection posts when it was answered
}

// bareResult is what came of it.
type bareResult struct {
	Sent   int64 `json:"sent"` // answered with 200
	Failed int64 `json:"failed"`
	First  int64 `json:"first"` // Unix ns: when it began
}

// bare posts signed bodies of the form that the standard dialect sends, each
// with its own id, time and HMAC, over net/http's client: what a sender on
// this machine could do if it stored nothing.
func bare(ctx context.Context, c bareConfig) (*bareResult, error) {
	client := &http.Client{
		Timeout: publishTimeout,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: c.Connections,
			MaxConnsPerHost:     c.Connections,
			DisableCompression:  true,
		},
	}
	defer client.CloseIdleConnections()
	if c.Rate > 0 {
		return bareTimetable(ctx, newBareSender(client, c), c)
	}
	result := &bareResult{First: time.Now().UnixNano()}
	until := time.Now().Add(c.Duration)
	var number atomic.Int64
	var all sync.WaitGroup
	for range c.Connections {
		all.Go(func() {
			b := newBareSender(client, c)
			for ctx.Err() == nil && time.Now().Before(until) {
				if err := b.send(ctx, time.Now(), number.Add(1)); err != nil {
					atomic.AddInt64(&result.Failed, 1)
					continue
				}
				atomic.AddInt64(&result.Sent, 1)
			}
		})
	}
	all.Wait()
	if result.Sent == 0 {
		return nil, fmt.Errorf("bare client: nothing of %d requests arrived", result.Failed)
	}
	return result, nil
}

// bareTimetable posts one after the other, each when it is due.
func bareTimetable(ctx context.Context, b *bareSender, c bareConfig) (*bareResult, error) {
	runtime.LockOSThread() // sleepUntil blocks a thread
	defer runtime.UnlockOSThread()
	begun := time.Now()
	result := &bareResult{First: begun.UnixNano()}
	gap := time.Duration(float64(time.Second) / c.Rate)
	for at := begun.Add(gap); at.Sub(begun) < c.Duration && ctx.Err() == nil; at = at.Add(gap) {
		sleepUntil(at)
		if err := b.send(ctx, at, result.Sent+result.Failed); err != nil {
			result.Failed++
			continue
		}
		result.Sent++
	}
	if result.Sent == 0 {
		return nil, fmt.Errorf("bare client: nothing of %d requests arrived in %s", result.Failed, c.Duration)
	}
	return result, nil
}

type bareSender struct {
	client *http.Client
	url    string
	body   template
	key    []byte
}

func newBareSender(client *http.Client, c bareConfig) *bareSender {
	body := `{"type":"bench.event","timestamp":"2026-11-01T12:00:00.000000Z","data":` + data(c.Size, "") + `}`
	return &bareSender{client: client, url: "http://" + c.Addr + "/ok/0/0", body: newTemplate(body), key: []byte(padding(32))}
}

// send posts the body of an event that was due at a time.
func (b *bareSender) send(ctx context.Context, at time.Time, number int64) error {
	b.body.patch(0, at, number)
	now := time.Now()
	id := fmt.Sprintf("%08x-0000-7000-8000-%012x", number>>16, number)
	stamp := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, b.key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(b.body.bytes)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url, bytes.NewReader(b.body.bytes))
	if err != nil {
		return err
	}
	req.Header["Content-Type"] = []string{"application/json"}
	req.Header["Webhook-Id"] = []string{id}
	req.Header["Webhook-Timestamp"] = []string{stamp}
	req.Header["Webhook-Signature"] = []string{"v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))}
	resp, err := b.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered with %s", resp.Status)
	}
	return err
}
