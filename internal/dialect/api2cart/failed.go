package api2cart

import (
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// kept is how long the vendor's log goes back (A2-R4).
const kept = 24 * time.Hour

// failed lists what could not be delivered to any store of the key, the latest
// first (A2-R3, A2-R5).
func (c call) failed() (any, error) {
	start, count, err := c.page()
	if err != nil {
		return nil, err
	}
	type entry struct {
		at    time.Time
		shown members
	}
	var entries []entry
	page, err := c.caller.Log(c.ctx, dialect.LogQuery{
		States: []hook.DeliveryState{hook.Failed}, Hooks: c.words("ids"), Since: c.control.Now().Add(-kept), Start: start, Size: count,
	}, func(e *dialect.LogEntry) {
		at := e.Settled()
		entries = append(entries, entry{at, members{
			{"webhook_id", c.id(e.Endpoint)},
			{"entity_id", entityID(e.Event)},
			{"time", members{{"value", stamp(at)}, {"format", phpLayout}}},
		}})
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return b.at.Compare(a.at) })
	shown := make([]members, len(entries))
	for i, e := range entries {
		shown[i] = e.shown
	}
	return members{{"all_failed_webhook", strconv.Itoa(page.Total)}, {"webhook", shown}}, nil
}

// entityID is the id of the entity that an event is about, as a text, whatever
// fields the webhook sends (A2-R6); "" if it has none.
func entityID(e *hook.Event) string {
	var entity struct {
		ID jsontext.Value `json:"id"`
	}
	if json.Unmarshal(e.Data, &entity) != nil {
		return ""
	}
	var text string
	if json.Unmarshal(entity.ID, &text) == nil {
		return text
	}
	if entity.ID.Kind() == '0' {
		return string(entity.ID)
	}
	return ""
}
