package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"grapnel/client"
)

type importCmd struct {
	File    string `arg:"" placeholder:"FILE" help:"The records: NDJSON, a JSON array, or CSV; - for standard input."`
	Format  string `default:"auto" enum:"auto,ndjson,csv" placeholder:"FORMAT" help:"What the file is: ndjson (or a JSON array), csv, or auto, by its name (default ${default})."`
	DryRun  bool   `help:"Check every record and tell what would become of it; change nothing."`
	Refused string `placeholder:"FILE" help:"Write the records that are refused to this file, to be corrected and imported again."`
	remote
}

// Help gives examples.
func (*importCmd) Help() string {
	return `Takes tenants, API keys and hooks over from elsewhere, with the ids, secrets and states that
they have: old clients go on with the keys and ids that they know. A record is found again by
its id, so a file can be imported as often as one likes: what is there just so is unchanged,
what differs is changed, and nothing is deleted. Tenants come before what belongs to them.
docs/moving-in.md has the fields of a record. The key needs the scope admin; the exit code
is 6 if a record was refused.

Examples:

    grapnel import hooks.ndjson --dry-run
    grapnel import hooks.csv --refused refused.csv
    grapnel import - --format ndjson --json < hooks.ndjson`
}

// What one request holds at most, beside client.MaxImport records.
const maxImportBytes = 4 << 20

// importReport is what --json prints.
type importReport struct {
	DryRun    bool      `json:"dry_run"`
	Records   int       `json:"records"`
	Created   int       `json:"created"`
	Updated   int       `json:"updated"`
	Unchanged int       `json:"unchanged"`
	Refused   int       `json:"refused"`
	Refusals  []refusal `json:"refusals"`
}

// refusal is a record that was not taken.
type refusal struct {
	Record   int    `json:"record"`         // counted from 1
	Line     int    `json:"line,omitempty"` // of the file, where it begins
	Kind     string `json:"kind,omitempty"`
	Tenant   string `json:"tenant,omitempty"`
	VendorID string `json:"vendor_id,omitempty"`
	Field    string `json:"field,omitempty"`
	Message  string `json:"message"`
}

// Run imports.
func (c *importCmd) Run(p *program) error {
	if c.File == "-" && c.KeyFile == "-" {
		return fail(exitUsage, "name a file for one of them", "FILE and --key-file cannot both be standard input")
	}
	in, size, err := c.source(p)
	if err != nil {
		return err
	}
	defer in.Close()
	api, err := c.open(p)
	if err != nil {
		return err
	}
	records, err := c.reader(in)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	i := &importer{api: api, dry: c.DryRun, records: records, told: p.progress(size, "import")}
	i.report.DryRun, i.report.Refusals = c.DryRun, []refusal{}
	if c.Refused != "" {
		if i.refused, err = c.refusedFile(records); err != nil {
			return err
		}
	}
	err = i.run(ctx)
	i.told.end()
	if i.refused != nil {
		err = errors.Join(err, i.refused.Close())
	}
	if err != nil && !i.answered {
		return err // nothing became of any record
	}
	if err != nil {
		p.note("the import stopped here: this is what became of the first %s", count(int64(i.report.Records), "record"))
	}
	if told := p.imported(&i.report); told != nil || err != nil {
		return errors.Join(err, told)
	}
	if i.report.Refused > 0 {
		return fail(exitInvalid, "correct them and import them again; what was taken stays as it is", "%d of %s refused", i.report.Refused, count(int64(i.report.Records), "record"))
	}
	return nil
}

// source opens the file and tells how long it is; 0: that is not known.
func (c *importCmd) source(p *program) (io.ReadCloser, int64, error) {
	if c.File == "-" {
		return io.NopCloser(p.stdin), 0, nil
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, 0, fail(exitUsage, "name a file that this user can read, or - for standard input", "the records cannot be read: %w", err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return f, 0, err
	}
	return f, info.Size(), nil
}

// reader makes the reader of the file's format.
func (c *importCmd) reader(in io.Reader) (recordReader, error) {
	format := c.Format
	if format == "auto" {
		switch strings.ToLower(filepath.Ext(c.File)) {
		case ".csv":
			format = "csv"
		case ".ndjson", ".jsonl", ".json":
			format = "ndjson"
		default:
			return nil, fail(exitUsage, "add --format ndjson or --format csv", "%q does not say by its name what it holds", c.File)
		}
	}
	if format == "csv" {
		return newCSVRecords(in)
	}
	return newJSONRecords(in)
}

// refusedFile makes the file for refused records. They hold secrets, so that
// nobody else can read it.
func (c *importCmd) refusedFile(records recordReader) (*os.File, error) {
	if a, err := os.Stat(c.File); err == nil {
		if b, err := os.Stat(c.Refused); err == nil && os.SameFile(a, b) {
			return nil, fail(exitUsage, "name another one", "--refused: this is the file that is imported")
		}
	}
	f, err := os.OpenFile(c.Refused, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fail(exitUsage, "name a file that this user can write", "--refused: %w", err)
	}
	if head := records.head(); len(head) > 0 {
		if _, err := f.Write(head); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// record is one record of a file.
type record struct {
	number, line int
	text         []byte          // as it stands in the file, with its line break
	json         json.RawMessage // as the server takes it
	wrong        string          // why it cannot be sent; "" if it can
	field        string          // JSON pointer to that
	said         saidOf
	called       string // what makes it the same as another record; "": nothing
	end          int64  // bytes of the file up to its end
}

// recordReader reads the records of a file. Next returns io.EOF at the end.
type recordReader interface {
	next() (*record, error)
	head() []byte // what stands before the records
}

// importer sends records in batches.
type importer struct {
	api     *client.Client
	dry     bool
	records recordReader
	told    *progress
	refused *os.File // nil: none is wanted
	report  importReport

	answered bool              // the server took records, or refused them one by one
	seen     map[string]place  // hooks and keys of the file, by what they are called
	dialects map[string]string // of tenants

	batch []*record
	bytes int
	// In a dry run nothing is stored, so that each batch needs the tenants of
	// earlier ones again.
	tenants map[string]json.RawMessage
	needed  []string // by this batch
}

func (i *importer) run(ctx context.Context) error {
	for n := 0; ; n++ {
		r, err := i.records.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return errors.Join(i.flush(ctx), err)
		}
		if err != nil && n == 0 {
			return fail(exitInvalid, "is it the right file?", "the file holds no record")
		}
		if err != nil {
			return i.flush(ctx)
		}
		if r.wrong == "" {
			if err := i.twice(ctx, r); err != nil {
				return err
			}
		}
		if r.wrong != "" { // in its place behind those that were read before
			if err := i.flush(ctx); err != nil {
				return err
			}
			told := client.Imported{Field: r.field, Message: r.wrong}
			if r.called != "" {
				told.Kind, told.Tenant = r.said.kind(), r.said.Tenant
			}
			if err := i.refuse(r, &told); err != nil {
				return err
			}
			continue
		}
		missing := i.missing(r)
		if len(i.batch)+len(i.needed)+len(missing)+1 > client.MaxImport || i.bytes+len(r.json) > maxImportBytes {
			if err := i.flush(ctx); err != nil {
				return err
			}
			missing = i.missing(r)
		}
		i.needed = append(i.needed, missing...)
		i.batch, i.bytes = append(i.batch, r), i.bytes+len(r.json)
	}
}

// missing are the tenants of earlier batches that a record of a dry run needs,
// and this batch has not yet.
func (i *importer) missing(r *record) (out []string) {
	if !i.dry {
		return nil
	}
	for _, t := range append(r.said.Tenants, r.said.Tenant) {
		if i.tenants[t] != nil && !slices.Contains(i.needed, t) && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// flush sends the batch.
func (i *importer) flush(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	var send []json.RawMessage
	for _, t := range i.needed {
		send = append(send, i.tenants[t])
	}
	for _, r := range i.batch {
		send = append(send, r.json)
	}
	var options []client.Option
	if i.dry {
		options = append(options, client.DryRun())
	}
	answer, err := i.api.ImportJSON(ctx, send, options...)
	if err != nil {
		return err
	}
	i.answered = true
	for at, result := range answer.Results[len(i.needed):] {
		if err := i.tell(i.batch[at], &result); err != nil {
			return err
		}
	}
	i.told.set(i.batch[len(i.batch)-1].end)
	i.batch, i.bytes, i.needed = nil, 0, nil
	return nil
}

// tell notes what became of a record.
func (i *importer) tell(r *record, result *client.Imported) error {
	switch result.Outcome {
	case client.ImportCreated:
		i.report.Created++
	case client.ImportUpdated:
		i.report.Updated++
	case client.ImportUnchanged:
		i.report.Unchanged++
	default:
		delete(i.seen, r.called) // another one may be it
		return i.refuse(r, result)
	}
	i.report.Records++
	if i.dry && result.Kind == client.KindTenant {
		if i.tenants == nil {
			i.tenants = map[string]json.RawMessage{}
		}
		i.tenants[result.Tenant] = r.json
	}
	return nil
}

func (i *importer) refuse(r *record, result *client.Imported) error {
	i.report.Records++
	i.report.Refused++
	i.report.Refusals = append(i.report.Refusals, refusal{r.number, r.line, result.Kind, result.Tenant, result.VendorID, result.Field, result.Message})
	if i.refused == nil {
		return nil
	}
	_, err := i.refused.Write(r.text)
	return err
}

// imported tells what became of the records.
func (p *program) imported(r *importReport) error {
	if p.JSON {
		return p.object(r)
	}
	if len(r.Refusals) > 0 {
		rows := make([][]string, len(r.Refusals))
		for i, f := range r.Refusals {
			line := ""
			if f.Line > 0 {
				line = fmt.Sprint(f.Line)
			}
			rows[i] = []string{fmt.Sprint(f.Record), line, f.Kind, f.Tenant, f.VendorID, f.Field, f.Message}
		}
		if err := p.table([]string{"RECORD", "LINE", "KIND", "TENANT", "VENDOR ID", "FIELD", "WHY"}, rows); err != nil {
			return err
		}
	}
	if r.DryRun {
		p.note("nothing was changed: this is what would become of the records")
	}
	return p.fields(field{"records", fmt.Sprint(r.Records)}, field{"created", fmt.Sprint(r.Created)}, field{"updated", fmt.Sprint(r.Updated)},
		field{"unchanged", fmt.Sprint(r.Unchanged)}, field{"refused", fmt.Sprint(r.Refused)})
}

// asLine ends a record's text with a line break.
func asLine(b []byte) []byte { return append(bytes.TrimRight(bytes.Clone(b), "\r\n"), '\n') }
