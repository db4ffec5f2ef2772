package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"grapnel/internal/spelling"
)

// maxRecord bounds one line of a file of records.
const maxRecord = 1 << 20

// byteOrderMark is what some programs put before a text.
var byteOrderMark = []byte("\xef\xbb\xbf")

// jsonRecords reads one record a line, or an array of them.
type jsonRecords struct {
	in     *bufio.Reader
	array  *json.Decoder // nil: lines
	number int
	line   int
	read   int64
}

func newJSONRecords(in io.Reader) (recordReader, error) {
	r := &jsonRecords{in: bufio.NewReaderSize(in, 64<<10)}
	head, err := r.in.Peek(len(byteOrderMark))
	if err == nil && bytes.Equal(head, byteOrderMark) {
		_, err = r.in.Discard(len(head))
	}
	for err == nil {
		var b byte
		if b, err = r.in.ReadByte(); err != nil {
			break
		}
		if b == '\n' {
			r.line++
		}
		if b == ' ' || b == '\t' || b == '\r' || b == '\n' {
			continue
		}
		if err = r.in.UnreadByte(); err == nil && b == '[' {
			r.array = json.NewDecoder(r.in)
			_, err = r.array.Token()
		}
		break
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the records: %w", err)
	}
	return r, nil
}

func (r *jsonRecords) head() []byte { return nil }

func (r *jsonRecords) next() (*record, error) {
	if r.array != nil {
		return r.element()
	}
	for {
		all, err := r.textLine()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the records: %w", err)
		}
		trimmed := bytes.TrimSpace(all)
		switch {
		case len(trimmed) == 0 && err != nil:
			return nil, io.EOF
		case len(trimmed) == 0:
			continue
		}
		r.number++
		out := &record{number: r.number, line: r.line, text: asLine(all), json: trimmed, end: r.read}
		switch {
		case len(all) > maxRecord:
			out.wrong = fmt.Sprintf("has more than %d bytes", maxRecord)
		case !json.Valid(trimmed):
			out.wrong = "is no JSON"
		}
		return out, nil
	}
}

// textLine reads a line. Of one that is too long it keeps a little more than
// is allowed.
func (r *jsonRecords) textLine() (all []byte, err error) {
	for {
		part, err := r.in.ReadSlice('\n')
		r.read += int64(len(part))
		if len(all) <= maxRecord {
			all = append(all, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			r.line++
			return all, err
		}
	}
}

// element reads one of an array.
func (r *jsonRecords) element() (*record, error) {
	if !r.array.More() {
		if _, err := r.array.Token(); err != nil {
			return nil, fail(exitInvalid, "does the file end too early?", "the JSON behind record %d cannot be read: %w", r.number, err)
		}
		return nil, io.EOF
	}
	var value json.RawMessage
	if err := r.array.Decode(&value); err != nil {
		return nil, fail(exitInvalid, "correct it and import the file again: what was taken stays as it is", "the JSON of record %d cannot be read: %w", r.number+1, err)
	}
	r.number++
	var line bytes.Buffer
	if err := json.Compact(&line, value); err != nil {
		return nil, err
	}
	return &record{number: r.number, text: append(line.Bytes(), '\n'), json: value, end: r.array.InputOffset()}, nil
}

// csvRecords reads records from a table whose first row names the columns.
type csvRecords struct {
	in      *csv.Reader
	columns []string
	number  int
}

// csvColumns are the names that a column may have, and how its cells are read.
var csvColumns = map[string]func(string) (any, error){
	"kind": csvText, "tenant": csvText, "tenants": csvList, "scopes": csvList, "key": csvText,
	"name": csvText, "api_version": csvText, "dialect": csvText, "secret": csvText,
	"vendor_id": csvText, "url": csvText, "event_types": csvList, "event": csvText, "state": csvText,
	"description": csvText, "label": csvText, "fields": csvList, "filter": csvJSON, "created_at": csvText,
}

// csvGroups are the objects whose members have columns of their own, such as
// settings.store_id.
var csvGroups = []string{"settings", "headers"}

func csvText(cell string) (any, error) { return cell, nil }

// csvList parts a cell at spaces, bars and commas: no name holds one.
func csvList(cell string) (any, error) {
	return strings.FieldsFunc(cell, func(r rune) bool { return r == ' ' || r == '|' || r == ',' }), nil
}

func csvJSON(cell string) (any, error) {
	if !json.Valid([]byte(cell)) {
		return nil, errors.New("is no JSON")
	}
	return json.RawMessage(cell), nil
}

func newCSVRecords(in io.Reader) (recordReader, error) {
	buffered := bufio.NewReader(in)
	if head, err := buffered.Peek(len(byteOrderMark)); err == nil && bytes.Equal(head, byteOrderMark) {
		if _, err := buffered.Discard(len(head)); err != nil {
			return nil, err
		}
	}
	r := &csvRecords{in: csv.NewReader(buffered)}
	columns, err := r.in.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fail(exitInvalid, "the first row names the columns, such as tenant,vendor_id,url,secret", "the file is empty")
	case err != nil:
		return nil, fail(exitInvalid, "the first row names the columns, such as tenant,vendor_id,url,secret", "the first row cannot be read: %w", err)
	}
	for _, name := range columns {
		if err := checkColumn(name); err != nil {
			return nil, err
		}
		if slices.Contains(r.columns, name) {
			return nil, fail(exitInvalid, "leave one of them out", "there are two columns %q", name)
		}
		r.columns = append(r.columns, name)
	}
	r.in.FieldsPerRecord = -1
	return r, nil
}

func checkColumn(name string) error {
	if csvColumns[name] != nil {
		return nil
	}
	if group, member, ok := strings.Cut(name, "."); ok && member != "" && slices.Contains(csvGroups, group) {
		return nil
	}
	var known []string
	for have := range csvColumns {
		known = append(known, have)
	}
	slices.Sort(known)
	hint := "a column is one of " + strings.Join(known, ", ") + ", or settings.NAME, or headers.NAME"
	if guess := spelling.Nearest(name, known); guess != "" {
		hint = fmt.Sprintf("did you mean %q?", guess)
	}
	return fail(exitInvalid, hint, "there is no column %q", name)
}

// head is the row with the columns' names.
func (r *csvRecords) head() []byte { return csvRow(r.columns) }

func csvRow(cells []string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(cells) // to memory
	w.Flush()
	return b.Bytes()
}

func (r *csvRecords) next() (*record, error) {
	cells, err := r.in.Read()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	r.number++
	out := &record{number: r.number, end: r.in.InputOffset()}
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse):
		out.line, out.wrong = parse.StartLine, "cannot be read: "+parse.Err.Error()
		out.text = csvRow(cells)
		return out, nil
	case err != nil:
		return nil, fmt.Errorf("read the records: %w", err)
	}
	out.line, _ = r.in.FieldPos(0)
	out.text = csvRow(cells)
	if len(cells) != len(r.columns) {
		out.wrong = fmt.Sprintf("has %d cells, and there are %d columns", len(cells), len(r.columns))
		return out, nil
	}
	out.json, out.field, err = r.object(cells)
	if err != nil {
		out.wrong = err.Error()
	}
	return out, nil
}

// object makes a record of a row. An empty cell is a member that is not there.
func (r *csvRecords) object(cells []string) (json.RawMessage, string, error) {
	object := map[string]any{}
	for i, cell := range cells {
		if cell == "" {
			continue
		}
		name := r.columns[i]
		if read := csvColumns[name]; read != nil {
			value, err := read(cell)
			if err != nil {
				return nil, "/" + name, err
			}
			object[name] = value
			continue
		}
		group, member, _ := strings.Cut(name, ".")
		of, _ := object[group].(map[string]string)
		if of == nil {
			of = map[string]string{}
			object[group] = of
		}
		of[member] = cell
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(object)
	return bytes.TrimSpace(b.Bytes()), "", err
}
