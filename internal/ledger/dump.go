package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Delivery is one delivery as the store tells it through the native API.
type Delivery struct {
	ID       string    `json:"id"`
	Event    string    `json:"event"`
	Endpoint string    `json:"endpoint"`
	State    string    `json:"state"` // pending, held, delivered, failed, cancelled
	Reason   string    `json:"reason"`
	Attempts int       `json:"attempt_count"` // recorded
	NextAt   time.Time `json:"next_attempt_at"`
	Rows     []Attempt `json:"-"` // the attempts themselves, where Dump fetched them
}

// Attempt is one recorded attempt.
type Attempt struct {
	N          int       `json:"n"`
	At         time.Time `json:"at"`
	Trigger    string    `json:"trigger"` // scheduled, manual
	Status     int       `json:"status"`
	BodySHA256 string    `json:"body_sha256"`
}

// API reads a server's store from outside.
type API struct {
	Base   string // "http://127.0.0.1:8080"
	Key    string // with read scope
	Client *http.Client
}

// pageSize is the most that the API gives in one page.
const pageSize = 250

// Deliveries lists a tenant's deliveries of events accepted at or after since.
func (a *API) Deliveries(ctx context.Context, tenant string, since time.Time) ([]Delivery, error) {
	var all []Delivery
	query := url.Values{"limit": {fmt.Sprint(pageSize)}}
	if !since.IsZero() {
		query.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	for {
		var page struct {
			Data []Delivery `json:"data"`
			Next string     `json:"next_cursor"`
		}
		path := "/v1/tenants/" + url.PathEscape(tenant) + "/deliveries?" + query.Encode()
		if err := a.get(ctx, path, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Data...)
		if page.Next == "" {
			return all, nil
		}
		query.Set("cursor", page.Next)
	}
}

// Attempts fetches a delivery's attempts.
func (a *API) Attempts(ctx context.Context, tenant, delivery string) ([]Attempt, error) {
	var d struct {
		Attempts []Attempt `json:"attempts"`
	}
	err := a.get(ctx, "/v1/tenants/"+url.PathEscape(tenant)+"/deliveries/"+url.PathEscape(delivery), &d)
	return d.Attempts, err
}

// Dump lists the deliveries of several tenants. It fetches the attempts of
// those deliveries that want says it for (nil: of none).
func (a *API) Dump(ctx context.Context, tenants []string, since time.Time, want func(*Delivery) bool) ([]Delivery, error) {
	var all []Delivery
	for _, tenant := range tenants {
		list, err := a.Deliveries(ctx, tenant, since)
		if err != nil {
			return nil, err
		}
		for i := range list {
			if want == nil || !want(&list[i]) {
				continue
			}
			if list[i].Rows, err = a.Attempts(ctx, tenant, list[i].ID); err != nil {
				return nil, err
			}
		}
		all = append(all, list...)
	}
	return all, nil
}

func (a *API) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Base+path, nil)
	if err != nil {
		return fmt.Errorf("store dump: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+a.Key)
	resp, err := a.Client.Do(req)
	if err != nil {
		return fmt.Errorf("store dump: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it has been read by then
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("store dump: GET %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("store dump: GET %s: %s: %.200s", path, resp.Status, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("store dump: GET %s: %w", path, err)
	}
	return nil
}
