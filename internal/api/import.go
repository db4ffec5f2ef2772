package api

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// importInput is one record of POST /v1/import.
type importInput struct {
	Kind        string                   `json:"kind" doc:"what it is; absent: hook" enum:"hook,tenant,key" example:"hook"`
	Tenant      *string                  `json:"tenant" doc:"the tenant, or whose the hook or key is" example:"acme"`
	Tenants     []string                 `json:"tenants" doc:"of a key: those that it covers, if they are several; [\"*\"]: all"`
	Scopes      []string                 `json:"scopes" doc:"of a key: what it may do; absent: manage" enum:"publish,manage,read"`
	Key         *string                  `json:"key" doc:"of a key: the key itself, which goes on working"`
	Name        field[string]            `json:"name" doc:"of a tenant: for people"`
	APIVersion  field[string]            `json:"api_version" doc:"of a tenant: which version of the shapes its endpoints get"`
	Dialect     field[string]            `json:"dialect" doc:"the wire contract of a hook, or what a tenant's endpoints speak when they do not say" example:"customers1st"`
	Secret      *string                  `json:"secret" doc:"the secret of a hook, or of a tenant whose dialect has one, taken over as it is"`
	Settings    field[map[string]string] `json:"settings" doc:"of a tenant: free texts; of a hook: what its contract keeps of it, such as store_id"`
	Quota       field[*quotaInput]       `json:"quota" doc:"of a tenant: how much it may publish"`
	VendorID    vendorID                 `json:"vendor_id" doc:"of a hook: what the vendor calls it, by which it is found again" example:"17"`
	URL         field[string]            `json:"url" doc:"of a hook: where deliveries go; kept exactly as given" example:"https://example.com/hooks"`
	EventTypes  field[[]string]          `json:"event_types" doc:"of a hook: what it subscribes to" example:"[\"client_updated\"]"`
	Event       *string                  `json:"event" doc:"of a hook: event_types, where it is one"`
	State       *string                  `json:"state" doc:"of a hook; inactive is paused" enum:"active,inactive,paused,disabled" example:"active"`
	Description field[string]            `json:"description" doc:"of a hook: for people"`
	Label       field[string]            `json:"label" doc:"description under another name"`
	Fields      fieldList                `json:"fields" doc:"of a hook: which fields of the data it gets: a list, or a text with commas"`
	Filter      raw                      `json:"filter" doc:"of a hook: a condition tree that an event has to meet"`
	Headers     field[headers]           `json:"headers" doc:"of a hook: extra headers of every request"`
	Auth        field[*authInput]        `json:"auth" doc:"of a hook: how its requests authenticate themselves; null: not at all"`
	TLS         field[*tlsInput]         `json:"tls" doc:"of a hook: a client certificate and authorities of its own; null: neither"`
	Ordering    field[string]            `json:"ordering" doc:"of a hook: which deliveries wait for each other: none, those of one ordering key, or all (strict); null: none" enum:"none,key,strict" example:"key"`
	SkipAfter   field[int]               `json:"skip_after" doc:"of an ordered hook: after how many failed attempts a delivery fails, so that those behind it go on; null: they wait" example:"5"`
	CreatedAt   *string                  `json:"created_at" doc:"of a hook: when it was created, in RFC 3339 or as 2026-01-31 08:00:00 (UTC)" example:"2026-01-31T08:00:00Z"`
}

// vendorID is a text, or a number that is taken as its digits.
type vendorID struct{ text string }

// UnmarshalJSONFrom reads either.
func (v *vendorID) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch value.Kind() {
	case '0':
		v.text = string(value)
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return err
		}
		v.text = string(text)
	default:
		return wantError("a text or a number")
	}
	return nil
}

func (*vendorID) describe(*shapes) (*schema, string) {
	return &schema{AnyOf: []*schema{{Type: kinds{"string"}}, {Type: kinds{"integer"}}}}, `"17"`
}

// fieldList is a list of texts, or one text with commas between them.
type fieldList struct {
	given bool
	names []string
}

// UnmarshalJSONFrom reads either.
func (f *fieldList) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	f.given = true
	switch dec.PeekKind() {
	case 'n':
		return dec.SkipValue()
	case '"':
		var text string
		if err := json.UnmarshalDecode(dec, &text); err != nil {
			return err
		}
		for name := range strings.SplitSeq(text, ",") {
			if name = strings.TrimSpace(name); name != "" {
				f.names = append(f.names, name)
			}
		}
		return nil
	}
	return json.UnmarshalDecode(dec, &f.names)
}

func (f *fieldList) pointer() *[]string {
	if !f.given {
		return nil
	}
	return &f.names
}

func (*fieldList) describe(*shapes) (*schema, string) {
	text := &schema{Type: kinds{"string"}}
	return &schema{AnyOf: []*schema{{Type: kinds{"array"}, Items: text}, text, {Type: kinds{"null"}}}}, `["id","name"]`
}

func (a *API) importRoutes() []routeRow {
	return []routeRow{{
		pattern: "POST /v1/import", name: "importRecords", summary: "Take up to 1,000 tenants, keys and hooks over from elsewhere",
		doc: "Takes a JSON array, or one record a line (NDJSON). Each record has a result of its own, in order: those that are refused leave the others as they are. " +
			"A hook is found again by its vendor_id, a key by its text, a tenant by its id: what is here already is changed to what the record says, and a member that is absent leaves things as they are. " +
			"Sent again, the same records are unchanged.",
		scope: hook.ScopeAdmin, handle: a.importRecords, in: []importInput{}, out: importReport{}, settled: true,
		params: []param{dryParam},
	}}
}

// The kinds of records.
const (
	importHook   = "hook"
	importTenant = "tenant"
	importKey    = "key"
)

// foreign is the first member of a record that its kind has no place for.
func (in *importInput) foreign() string {
	for _, m := range []struct {
		name  string
		given bool
		of    string
	}{
		{"name", in.Name.given, importTenant}, {"api_version", in.APIVersion.given, importTenant}, {"quota", in.Quota.given, importTenant},
		{"tenants", in.Tenants != nil, importKey}, {"scopes", in.Scopes != nil, importKey}, {"key", in.Key != nil, importKey},
		{"vendor_id", in.VendorID.text != "", importHook}, {"url", in.URL.given, importHook},
		{"event_types", in.EventTypes.given, importHook}, {"event", in.Event != nil, importHook}, {"state", in.State != nil, importHook},
		{"description", in.Description.given, importHook}, {"label", in.Label.given, importHook}, {"fields", in.Fields.given, importHook},
		{"filter", in.Filter.given, importHook}, {"headers", in.Headers.given, importHook}, {"auth", in.Auth.given, importHook}, {"tls", in.TLS.given, importHook}, {"ordering", in.Ordering.given, importHook}, {"skip_after", in.SkipAfter.given, importHook}, {"created_at", in.CreatedAt != nil, importHook},
		{"dialect", in.Dialect.given, importHook + importTenant}, {"secret", in.Secret != nil, importHook + importTenant}, {"settings", in.Settings.given, importHook + importTenant},
	} {
		if m.given && !strings.Contains(m.of, in.Kind) {
			return m.name
		}
	}
	return ""
}

// record is what the record asks for. Its error says what is wrong with it.
func (in *importInput) record() (manage.ImportRecord, error) {
	if in.Kind == "" {
		in.Kind = importHook
	}
	if in.Kind != importHook && in.Kind != importTenant && in.Kind != importKey {
		return manage.ImportRecord{}, hook.Invalid("/kind", "%q is not a kind of record: want hook, tenant or key", hook.Clip(in.Kind))
	}
	if name := in.foreign(); name != "" {
		return manage.ImportRecord{}, hook.Invalid("/"+name, "has no place in a record of the kind %s", in.Kind)
	}
	switch in.Kind {
	case importTenant:
		tenant := manage.ImportTenant{ID: orEmpty(in.Tenant), TenantInput: manage.TenantInput{
			Name: in.Name.pointer(), Dialect: in.Dialect.pointer(), APIVersion: in.APIVersion.pointer(), Settings: in.Settings.pointer(), Secret: secretOf(in.Secret),
		}}
		if err := fillQuota(&tenant.TenantInput, in.Quota); err != nil {
			return manage.ImportRecord{}, err
		}
		return manage.ImportRecord{Tenant: &tenant}, nil
	case importKey:
		return in.key()
	}
	return in.hook()
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func (in *importInput) key() (manage.ImportRecord, error) {
	out := manage.KeyInput{Tenants: in.Tenants, Key: secretOf(in.Key), Scopes: each(in.Scopes, func(s string) hook.Scope { return hook.Scope(s) })}
	switch {
	case in.Tenant != nil && in.Tenants != nil:
		return manage.ImportRecord{}, hook.Invalid("/tenant", "give either tenant or tenants")
	case in.Tenant != nil:
		out.Tenants = []string{*in.Tenant}
	case len(in.Tenants) == 0:
		return manage.ImportRecord{}, hook.Invalid("/tenant", `is missing: give tenant, or tenants, which may be ["*"] for all`)
	case slices.Equal(in.Tenants, []string{"*"}):
		out.Tenants = nil
	}
	if len(out.Scopes) == 0 {
		out.Scopes = []hook.Scope{hook.ScopeManage}
	}
	return manage.ImportRecord{Key: &manage.ImportKey{KeyInput: out}}, nil
}

func (in *importInput) hook() (manage.ImportRecord, error) {
	out := &manage.ImportHook{Tenant: orEmpty(in.Tenant)}
	out.EndpointInput = manage.EndpointInput{
		VendorID: &in.VendorID.text, Fields: in.Fields.pointer(), Settings: in.Settings.pointer(),
		URL: in.URL.pointer(), EventTypes: in.EventTypes.pointer(), Dialect: in.Dialect.pointer(), Secret: secretOf(in.Secret),
		Description: in.Description.pointer(), Filter: in.Filter.pointer(), Headers: (*[]hook.Header)(in.Headers.pointer()),
		Ordering: orderingOf(in.Ordering), SkipAfter: in.SkipAfter.pointer(),
	}
	if err := access(&out.EndpointInput, in.Auth, in.TLS); err != nil {
		return manage.ImportRecord{}, err
	}
	if in.Label.given {
		if in.Description.given {
			return manage.ImportRecord{}, hook.Invalid("/label", "give either description or label")
		}
		out.Description = in.Label.pointer()
	}
	if in.Event != nil {
		if in.EventTypes.given {
			return manage.ImportRecord{}, hook.Invalid("/event", "give either event_types or event")
		}
		out.EventTypes = &[]string{*in.Event}
	}
	if in.State != nil {
		state := hook.EndpointState(*in.State)
		switch state {
		case "inactive":
			state = hook.EndpointPaused
		case hook.EndpointActive, hook.EndpointPaused, hook.EndpointDisabled:
		default:
			return manage.ImportRecord{}, hook.Invalid("/state", "%q is not a state: want active, inactive, paused or disabled", hook.Clip(*in.State))
		}
		out.State = &state
	}
	if err := unhide(in.Headers.value, in.Headers.value, nil); err != nil {
		return manage.ImportRecord{}, err
	}
	if in.CreatedAt != nil {
		at, err := parseCreated(*in.CreatedAt)
		if err != nil {
			return manage.ImportRecord{}, err
		}
		out.CreatedAt = &at
	}
	return manage.ImportRecord{Hook: out}, nil
}

// parseCreated reads a time as vendors write one.
func parseCreated(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, hook.Invalid("/created_at", "want a time of RFC 3339 such as 2026-01-31T08:00:00Z, or 2026-01-31 08:00:00")
}

// importReport tells of each record, in order.
type importReport struct {
	Created   int            `json:"created" doc:"how many are new" example:"1"`
	Updated   int            `json:"updated" doc:"how many were here and were changed" example:"0"`
	Unchanged int            `json:"unchanged" doc:"how many were here just so" example:"0"`
	Refused   int            `json:"refused" doc:"how many were not taken" example:"0"`
	Results   []importResult `json:"results" doc:"one for each record, in order"`
}

// importResult is what became of one record.
type importResult struct {
	Outcome  manage.ImportOutcome `json:"outcome" doc:"what became of it" enum:"created,updated,unchanged,refused" example:"created"`
	Kind     string               `json:"kind,omitzero" doc:"what it is, where that could be read" enum:"hook,tenant,key" example:"hook"`
	Tenant   string               `json:"tenant,omitzero" doc:"the tenant, or whose the hook is" example:"acme"`
	ID       string               `json:"id,omitzero" doc:"the id of the endpoint or key here" example:"ep_01JB2X3Y4Z"`
	VendorID string               `json:"vendor_id,omitzero" doc:"of a hook: what the vendor calls it" example:"17"`
	Field    string               `json:"field,omitzero" doc:"of a refused one: JSON pointer (RFC 6901) to what is wrong"`
	Message  string               `json:"message,omitzero" doc:"of a refused one: what is wrong, and what to do"`
}

// importRecords takes up to manage.MaxImport records over from elsewhere.
func (a *API) importRecords(c *call) error {
	dry, err := c.dry()
	if err != nil {
		return err
	}
	var kindsOf []string
	var records []manage.ImportRecord
	err = c.withBody(a.MaxBatchBytes, func(body []byte) error {
		values, err := importValues(c.r.Header, body)
		if err != nil {
			return err
		}
		for _, v := range values {
			var in importInput
			r := manage.ImportRecord{}
			if err := json.Unmarshal(v, &in, json.RejectUnknownMembers(true)); err != nil {
				r.Err = decodeError(err)
			} else if jsontext.Value(v).Kind() != '{' {
				r.Err = hook.Invalid("", "want a JSON object")
			} else if r, err = in.record(); err != nil {
				r.Err = err
			}
			kindsOf, records = append(kindsOf, in.Kind), append(records, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return hook.Invalid("", "the request holds no record")
	}
	results, err := a.Manager.Import(c.r.Context(), records, dry)
	if err != nil {
		return err
	}
	if dry {
		c.Header().Set("Dry-Run", "true")
	}
	return c.answer(http.StatusOK, a.report(kindsOf, results))
}

func (a *API) report(kindsOf []string, results []manage.Imported) importReport {
	out := importReport{Results: make([]importResult, len(results))}
	for i, r := range results {
		s := importResult{Outcome: r.Outcome, Kind: knownKind(kindsOf[i]), Tenant: r.Tenant, ID: r.ID, VendorID: r.VendorID}
		switch r.Outcome {
		case manage.ImportCreated:
			out.Created++
		case manage.ImportUpdated:
			out.Updated++
		case manage.ImportUnchanged:
			out.Unchanged++
		default:
			out.Refused++
			s.Field, s.Message = r.Err.Field, r.Err.Message
		}
		out.Results[i] = s
	}
	return out
}

// knownKind leaves a kind out that is none.
func knownKind(kind string) string {
	if kind == importHook || kind == importTenant || kind == importKey {
		return kind
	}
	return ""
}

// importValues parts a body into records: an array, or one a line. A line that
// is no JSON is one record, which is refused when it is read.
func importValues(h http.Header, body []byte) ([]jsontext.Value, error) {
	var out []jsontext.Value
	first := bytes.TrimLeft(body, " \t\r\n")
	if !ndjson(h) && len(first) > 0 && first[0] == '[' {
		// What is wrong within one of the records is refused with that one.
		if err := json.Unmarshal(body, &out, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
			return nil, decodeError(err)
		}
	} else {
		for line := range bytes.Lines(body) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				out = append(out, line)
			}
		}
	}
	if len(out) > manage.MaxImport {
		return nil, &hook.Error{Code: hook.CodeTooLarge, Message: "a request holds at most " + strconv.Itoa(manage.MaxImport) + " records; nothing of it was stored, send them in several"}
	}
	return out, nil
}
