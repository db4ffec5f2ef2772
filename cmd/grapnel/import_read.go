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
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/spelling"
)

// maxRecord bounds one record of a file. Of longer ones maxKept is how much is
// kept for the file of refused records.
const (
	maxRecord = 1 << 20
	maxKept   = 64 << 20
)

// byteOrderMark is what some programs put before a text.
var byteOrderMark = []byte("\xef\xbb\xbf")

// jsonRecords reads one record a line, or an array of them.
type jsonRecords struct {
	in     *bufio.Reader
	array  *json.Decoder // nil: lines
	breaks *lineBreaks   // of the array
	number int
	line   int
	read   int64
}

func newJSONRecords(in io.Reader) (recordReader, error) {
	r := &jsonRecords{in: bufio.NewReaderSize(in, 64<<10)}
	head, err := r.in.Peek(len(byteOrderMark))
	if errors.Is(err, io.EOF) {
		err = nil // "[]" is shorter
	}
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
			r.breaks = &lineBreaks{in: r.in, line: r.line + 1}
			r.array = json.NewDecoder(r.breaks)
			_, err = r.array.Token()
		}
		break
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the records: %w", err)
	}
	return r, nil
}

// lineBreaks notes where the lines of a text end.
type lineBreaks struct {
	in   io.Reader
	read int64
	at   []int64 // those behind the last place that was asked for
	line int     // of that place
}

func (l *lineBreaks) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			l.at = append(l.at, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// lineOf is the line of a place, which is not before those asked for earlier.
func (l *lineBreaks) lineOf(place int64) int {
	n := 0
	for n < len(l.at) && l.at[n] < place {
		n++
	}
	l.at, l.line = l.at[n:], l.line+n
	return l.line
}

func (r *jsonRecords) head() []byte { return nil }

func (r *jsonRecords) next() (*record, error) {
	if r.array != nil {
		return r.element()
	}
	for {
		all, size, err := r.textLine()
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
		if out.field, out.wrong = wrongJSON(trimmed, size); size > maxKept {
			out.text = nil
			out.wrong += "; it is too long for the file of refused records too"
		}
		return out, nil
	}
}

// wrongJSON says what a record is refused for before it is sent, so that it
// does not take the others of its request with it.
func wrongJSON(text []byte, size int64) (field, why string) {
	if size > maxRecord {
		return "", fmt.Sprintf("has more than %d bytes", maxRecord)
	}
	if !utf8.Valid(text) {
		return "", "is not UTF-8: save the file in that encoding"
	}
	in := jsontext.NewDecoder(bytes.NewReader(text))
	_, err := in.ReadValue()
	var wrong *jsontext.SyntacticError
	if errors.As(err, &wrong) && errors.Is(err, jsontext.ErrDuplicateName) {
		return string(wrong.JSONPointer), "is there twice in the record"
	}
	if err == nil {
		_, err = in.ReadToken()
	}
	if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "", "is no JSON"
	}
	return "", ""
}

// textLine reads a line, and tells how long it is. Of one that is very long not
// all is kept.
func (r *jsonRecords) textLine() (all []byte, size int64, err error) {
	for {
		part, err := r.in.ReadSlice('\n')
		r.read, size = r.read+int64(len(part)), size+int64(len(part))
		if len(all) <= maxKept {
			all = append(all, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			r.line++
			return all, size, err
		}
	}
}

const notClosed = "the array is not closed by ]: is this all of the file?"

// element reads one of an array. An array that does not end, or is not all that
// there is, is no whole file.
func (r *jsonRecords) element() (*record, error) {
	if !r.array.More() {
		if end, err := r.array.Token(); err != nil || end != json.Delim(']') {
			return nil, r.cut(notClosed)
		}
		if _, err := r.array.Token(); !errors.Is(err, io.EOF) {
			return nil, r.cut("something follows the array")
		}
		return nil, io.EOF
	}
	var value json.RawMessage
	if err := r.array.Decode(&value); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, r.cut(notClosed)
	} else if err != nil {
		return nil, r.cut(fmt.Sprintf("the JSON of record %d cannot be read: %v", r.number+1, err))
	}
	r.number++
	end := r.array.InputOffset()
	out := &record{number: r.number, line: r.breaks.lineOf(end - int64(len(value))), json: value, end: end}
	r.breaks.lineOf(end)
	var line bytes.Buffer
	if err := json.Compact(&line, value); err != nil {
		return nil, err
	}
	out.text = append(line.Bytes(), '\n')
	out.field, out.wrong = wrongJSON(value, int64(len(value)))
	return out, nil
}

// cut is the error of an array of which not all can be read.
func (r *jsonRecords) cut(why string) error {
	return fail(exitInvalid, "correct it and import the file again: what was taken stays as it is", "not all of the file was imported: %s before this, %s", count(int64(r.number), "record"), why)
}

// csvRecords reads records from a table whose first row names the columns.
type csvRecords struct {
	in      *csv.Reader
	raw     *rawText
	columns []string
	number  int
}

// rawText keeps what was read from a text and not taken yet.
type rawText struct {
	in    io.Reader
	kept  []byte
	begin int64 // of what is kept
	ended bool
}

func (r *rawText) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.kept, r.ended = append(r.kept, p[:n]...), errors.Is(err, io.EOF)
	return n, err
}

// take returns the text up to a place. It is good until the next Read.
func (r *rawText) take(end int64) []byte {
	n := end - r.begin
	out := r.kept[:n:n]
	r.kept, r.begin = r.kept[n:], end
	return out
}

// csvColumns are the names that a column may have, and how its cells are read.
var csvColumns = map[string]func(string) (any, error){
	"kind": csvText, "tenant": csvText, "tenants": csvList, "scopes": csvList, "key": csvText,
	"name": csvText, "api_version": csvText, "dialect": csvText, "secret": csvText,
	"vendor_id": csvText, "url": csvText, "event_types": csvList, "event": csvText, "state": csvText,
	"ordering": csvText, "skip_after": csvNumber,
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

func csvNumber(cell string) (any, error) {
	n, err := strconv.Atoi(cell)
	if err != nil {
		return nil, errors.New("is no whole number")
	}
	return n, nil
}

func newCSVRecords(in io.Reader) (recordReader, error) {
	buffered := bufio.NewReader(in)
	if head, err := buffered.Peek(len(byteOrderMark)); err == nil && bytes.Equal(head, byteOrderMark) {
		if _, err := buffered.Discard(len(head)); err != nil {
			return nil, err
		}
	}
	r := &csvRecords{raw: &rawText{in: buffered}}
	r.in = csv.NewReader(r.raw)
	columns, err := r.in.Read()
	const hint = "the first row names the columns, such as tenant,vendor_id,url,secret, and is UTF-8"
	switch {
	case errors.Is(err, io.EOF):
		return r, nil // without records
	case err != nil:
		return nil, fail(exitInvalid, hint, "the first row cannot be read: %w", err)
	case !utf8.Valid(r.raw.take(r.in.InputOffset())):
		return nil, fail(exitInvalid, hint, "the first row is not UTF-8")
	}
	if len(columns) == 1 {
		if at := strings.IndexAny(columns[0], ";\t|"); at >= 0 {
			return nil, fail(exitInvalid, "save the table with commas between its cells", "the columns are parted by %q, and a table is parted by commas", columns[0][at])
		}
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
	var parse *csv.ParseError
	if err != nil && !errors.As(err, &parse) {
		return nil, fmt.Errorf("read the records: %w", err)
	}
	r.number++
	raw := bytes.TrimLeft(r.raw.take(r.in.InputOffset()), "\r\n")
	out := &record{number: r.number, text: asLine(raw), end: r.in.InputOffset()}
	if parse != nil {
		out.line, out.wrong = parse.StartLine, r.wrongRow(parse, raw)
		return out, nil
	}
	out.line, _ = r.in.FieldPos(0)
	for i, cell := range cells {
		if !utf8.ValidString(cell) { // and would be changed on the way
			at, _ := r.in.FieldPos(i)
			out.wrong = fmt.Sprintf("is not UTF-8 in line %d, cell %d: save the file in that encoding", at, i+1)
			return out, nil
		}
	}
	switch lines := bytes.Count(bytes.TrimRight(raw, "\r\n"), []byte("\n")) + 1; {
	case len(cells) != len(r.columns) && lines > 1:
		out.wrong = fmt.Sprintf("has %d cells, and there are %d columns; lines %d to %d are one row, for a quote is open: is one missing?", len(cells), len(r.columns), out.line, out.line+lines-1)
		return out, nil
	case len(cells) != len(r.columns):
		out.wrong = fmt.Sprintf("has %d cells, and there are %d columns", len(cells), len(r.columns))
		return out, nil
	}
	out.json, out.field, err = r.object(cells)
	if err != nil {
		out.wrong = err.Error()
	}
	return out, nil
}

// wrongRow says why a row cannot be read, and what went with it.
func (r *csvRecords) wrongRow(parse *csv.ParseError, raw []byte) string {
	why := "cannot be read: " + parse.Err.Error()
	last := parse.StartLine + bytes.Count(bytes.TrimRight(raw, "\r\n"), []byte("\n"))
	switch {
	case last == parse.StartLine:
		return why
	case r.raw.ended && len(r.raw.kept) == 0:
		return fmt.Sprintf("%s: a quote is not closed, and the rest of the file, lines %d to %d, was read as one row", why, parse.StartLine, last)
	}
	return fmt.Sprintf("%s: a quote is not closed, and lines %d to %d were read as one row", why, parse.StartLine, last)
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
