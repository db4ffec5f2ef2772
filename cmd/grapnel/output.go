package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// global is what every command takes. Standard output is for data alone, and
// its form never depends on where it goes; everything else is for standard
// error.
type global struct {
	JSON    bool   `name:"json" help:"Print JSON: one object, or for lists and streams one line for each thing."`
	Quiet   bool   `short:"q" help:"Say nothing on standard error but errors."`
	Verbose bool   `short:"v" help:"Tell every request to the server on standard error, or let a server log all it does."`
	Color   string `default:"auto" enum:"auto,always,never" placeholder:"WHEN" help:"Use colours: auto (on a terminal, unless NO_COLOR is set or TERM is dumb), always or never."`
	Context string `env:"GRAPNEL_CONTEXT" placeholder:"NAME" help:"Take server, key and tenant from this context; grapnel context lists them."`
}

// terminal reports whether a stream is one.
func terminal(stream any) bool {
	if keys, ok := stream.(*keyboard); ok {
		stream = keys.File
	}
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colors reports whether to use colours on a stream.
func (p *program) colors(w io.Writer) bool {
	switch p.Color {
	case "always":
		return true
	case "never":
		return false
	}
	return p.getenv("NO_COLOR") == "" && p.getenv("TERM") != "dumb" && terminal(w)
}

// The colours of states and results.
const (
	colorReset  = "\x1b[0m"
	colorBold   = "\x1b[1m"
	colorDim    = "\x1b[2m"
	colorRed    = "\x1b[31m"
	colorGreen  = "\x1b[32m"
	colorYellow = "\x1b[33m"
	colorCyan   = "\x1b[36m"
)

// stateColor is the colour of a word that tells a state, or "".
func stateColor(word string) string {
	switch word {
	case "delivered", "active", "done", "ok":
		return colorGreen
	case "failed", "disabled":
		return colorRed
	case "pending", "running":
		return colorYellow
	case "held", "paused":
		return colorCyan
	case "cancelled":
		return colorDim
	}
	return ""
}

// object prints a value as one JSON object in one line.
func (p *program) object(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	_, err := p.stdout.Write(escapeJSON(b.Bytes()))
	return err
}

// line prints a value as one line of NDJSON.
func (p *program) line(v any) error { return p.object(v) }

// printf prints text for a person, as data. What may come from a server is
// passed through plain first.
func (p *program) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(p.stdout, format, args...)
	return err
}

// note says something on standard error that is not data, unless --quiet is
// given.
func (p *program) note(format string, args ...any) {
	if !p.Quiet {
		fmt.Fprintln(p.stderr, plain(fmt.Sprintf(format, args...)))
	}
}

// table prints rows under a header, in columns. Cells may hold anything.
func (p *program) table(header []string, rows [][]string) error {
	t := p.newTable(header...)
	for _, row := range rows {
		if err := t.row(row...); err != nil {
			return err
		}
	}
	return t.end()
}

// tableSample is how many rows are looked at to find how wide the columns are.
// The rest of a long list is printed as it comes.
const tableSample = 200

// columnGap stands between columns.
const columnGap = "  "

// table is rows on their way out.
type table struct {
	out     *bufio.Writer
	colored bool
	header  []string
	widths  []int
	held    [][]string // rows until the widths are known
	flowing bool       // they are known
}

// newTable begins a table. end must be called for it.
func (p *program) newTable(header ...string) *table {
	t := &table{out: bufio.NewWriter(p.stdout), colored: p.colors(p.stdout), header: header, widths: make([]int, len(header))}
	for i, name := range header {
		t.widths[i] = utf8.RuneCountInString(name)
	}
	return t
}

// row adds one row.
func (t *table) row(cells ...string) error {
	clean := make([]string, len(t.header))
	for i := range min(len(cells), len(clean)) {
		clean[i] = plain(cells[i])
	}
	if t.flowing {
		t.write(clean, "")
		return t.out.Flush()
	}
	for i, cell := range clean {
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
	}
	t.held = append(t.held, clean)
	if len(t.held) >= tableSample {
		return t.flow()
	}
	return nil
}

// flow writes the rows held back.
func (t *table) flow() error {
	t.flowing = true
	t.write(t.header, colorBold)
	for _, row := range t.held {
		t.write(row, "")
	}
	t.held = nil
	return t.out.Flush()
}

// end writes what is left. A table without rows is its header.
func (t *table) end() error {
	if t.flowing {
		return t.out.Flush()
	}
	return t.flow()
}

// write writes a row, each cell in color, or in that of the state it tells. An
// error stays in the writer until Flush.
func (t *table) write(row []string, color string) {
	var line strings.Builder
	for i, cell := range row {
		if i > 0 {
			line.WriteString(columnGap)
		}
		line.WriteString(paint(t.colored, color, cell))
		line.WriteString(strings.Repeat(" ", max(0, t.widths[i]-utf8.RuneCountInString(cell))))
	}
	fmt.Fprintln(t.out, strings.TrimRight(line.String(), " "))
}

// paint puts a text into a color; "" is that of the state it tells, if any.
func paint(colored bool, color, text string) string {
	if color == "" {
		color = stateColor(text)
	}
	if !colored || color == "" || text == "" {
		return text
	}
	return color + text + colorReset
}

// field is one line of what is known of a thing.
type field struct{ name, value string }

// fields prints what is known of a thing, one line each, names aligned. A
// field without a value is left out.
func (p *program) fields(all ...field) error {
	width := 0
	for _, f := range all {
		if f.value != "" {
			width = max(width, utf8.RuneCountInString(f.name))
		}
	}
	for _, f := range all {
		if f.value == "" {
			continue
		}
		gap := strings.Repeat(" ", width-utf8.RuneCountInString(f.name))
		if err := p.printf("%s%s  %s\n", paint(p.colors(p.stdout), colorDim, f.name), gap, paint(p.colors(p.stdout), "", plain(f.value))); err != nil {
			return err
		}
	}
	return nil
}

// section prints the heading of what follows.
func (p *program) section(title string) error {
	return p.printf("\n%s\n", paint(p.colors(p.stdout), colorBold, plain(title)))
}
