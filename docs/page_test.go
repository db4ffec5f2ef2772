package docs_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// page is a document with what it tells people to do, in order.
//
// Directives stand in HTML comments on the line before a block:
//
//	<!-- run: background -->       the block's one command goes on running; the page
//	                               waits for what it is shown to print
//	<!-- run: stop -->             interrupts the last background command and waits for its end
//	<!-- run: file NAME -->        the block's text is the content of a file
//	<!-- run: needs TOOL -->       the rest of the page needs this program
//	<!-- run: skip REASON -->      the block cannot be run by a test
//	<!-- run: no server -->        the page starts its own server
//	<!-- run: in a clone -->       the page begins in a clone of the repository
type page struct {
	file     string
	steps    []step
	noServer bool
	inClone  bool
}

// step is a block of a page, or a directive without one.
type step struct {
	line       int
	commands   []command
	background bool
	stop       bool
	skip       string // why it is not run
	needs      string // a program
	file       string // write content to it
	content    string
}

// command is what stands behind a prompt, and what the page shows below it.
type command struct {
	line   int
	text   string
	expect []string
}

var directive = regexp.MustCompile(`^<!-- run: (.*) -->$`)

func readPage(t *testing.T, file string) *page {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{file: file}
	lines := strings.Split(string(text), "\n")
	var next step
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if m := directive.FindStringSubmatch(line); m != nil {
			p.direct(t, &next, m[1], i+1)
			continue
		}
		lang, fenced := strings.CutPrefix(line, "```")
		if !fenced {
			continue
		}
		begin := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		block := lines[begin:min(i, len(lines))]
		next.line = begin + 1
		switch {
		case next.file != "":
			next.content = strings.Join(block, "\n") + "\n"
		case lang == "console":
			next.commands = p.commands(t, block, begin+1)
		case next.background || next.skip != "":
			t.Fatalf("%s:%d: the directive stands before a block that is not ```console", file, begin)
		default:
			continue
		}
		p.steps = append(p.steps, next)
		next = step{}
	}
	return p
}

func (p *page) direct(t *testing.T, next *step, text string, line int) {
	t.Helper()
	word, rest, _ := strings.Cut(text, " ")
	switch {
	case text == "background":
		next.background = true
	case text == "stop":
		p.steps = append(p.steps, step{line: line, stop: true})
	case text == "no server":
		p.noServer = true
	case text == "in a clone":
		p.inClone = true
	case word == "file":
		next.file = rest
	case word == "needs":
		p.steps = append(p.steps, step{line: line, needs: rest})
	case word == "skip" && rest != "":
		next.skip = rest
	default:
		t.Fatalf("%s:%d: no such directive: %s", p.file, line, text)
	}
}

// commands reads a console block. A command goes on as long as the shell finds
// it incomplete; what follows is what it prints.
func (p *page) commands(t *testing.T, block []string, line int) []command {
	t.Helper()
	var out []command
	for i := 0; i < len(block); i++ {
		text, prompt := strings.CutPrefix(block[i], "$ ")
		if !prompt {
			if len(out) == 0 {
				t.Fatalf("%s:%d: a console block begins with a command", p.file, line+i)
			}
			last := &out[len(out)-1]
			last.expect = append(last.expect, block[i])
			continue
		}
		c := command{line: line + i, text: text}
		for incomplete(c.text) && i+1 < len(block) {
			i++
			c.text += "\n" + block[i]
		}
		out = append(out, c)
	}
	return out
}

// incomplete asks the shell whether a command goes on in the next line.
func incomplete(text string) bool {
	if strings.HasSuffix(text, `\`) {
		return true
	}
	var told strings.Builder
	check := exec.Command("bash", "-n")
	check.Stdin, check.Stderr = strings.NewReader(text+"\n"), &told
	return check.Run() != nil || strings.Contains(told.String(), "here-document")
}

// matches holds output against what a page shows: … stands for any text in a
// line, and for any lines where it is alone.
func matches(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if strings.TrimSpace(want[0]) != "…" {
		return len(got) > 0 && lineMatches(want[0], got[0]) && matches(want[1:], got[1:])
	}
	for skip := range len(got) + 1 {
		if matches(want[1:], got[skip:]) {
			return true
		}
	}
	return false
}

func lineMatches(want, got string) bool {
	parts := strings.Split(strings.TrimRight(want, " "), "…")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile(`^` + strings.Join(parts, ".*") + `$`).MatchString(strings.TrimRight(got, " \r"))
}

func trimBlank(lines []string) []string {
	for len(lines) > 0 && strings.TrimSpace(lines[0]) == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}
