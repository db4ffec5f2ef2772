package convert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/itchyny/gojq"

	"grapnel/internal/hook"
)

// The limits of programs.
const (
	MaxSource = 16 << 10        // bytes of a program
	MaxOutput = 4 << 20         // bytes of a result
	MaxDepth  = 1000            // levels of a result
	Deadline  = 1 * time.Second // of all programs that an event goes through
)

// Program is a checked program. It may run in several goroutines at once.
type Program struct{ code *gojq.Code }

// absent are functions that ask for something outside of the input, and what
// it is.
var absent = map[string]string{
	"env": "the environment", "$ENV": "the environment", "$__prog_args": "arguments",
	"input": "further inputs", "inputs": "further inputs", "input_filename": "files", "input_line_number": "files",
	"get_search_list": "modules", "modulemeta": "modules",
	"now": "the clock", "localtime": "the time zone of the server", "strflocaltime": "the time zone of the server",
	"debug": "the server's log", "stderr": "the server's log",
	"halt": "the program's end", "halt_error": "the program's end",
}

// Compile checks a program. The error is a *hook.Error of CodeInvalid that says
// what is wrong.
func Compile(source string) (*Program, error) {
	if len(source) > MaxSource {
		return nil, hook.Invalid("", "the program has %d bytes, at most %d are allowed", len(source), MaxSource)
	}
	if strings.TrimSpace(source) == "" {
		return nil, hook.Invalid("", "the program is empty; write \".\" where nothing changes")
	}
	query, err := gojq.Parse(source)
	if err != nil {
		return nil, hook.Invalid("", "the program is not jq: %s", parseError(source, err))
	}
	if name := outside(reflect.ValueOf(query)); name != "" {
		return nil, hook.Invalid("", "the program uses %s, and there is no access to %s: it works on its input alone", name, absent[name])
	}
	if len(query.Imports) > 0 || query.Meta != nil {
		return nil, hook.Invalid("", "the program imports a module, and there is no access to modules")
	}
	code, err := gojq.Compile(query)
	if err != nil {
		return nil, hook.Invalid("", "the program is not jq: %v", err)
	}
	return &Program{code}, nil
}

// parseError adds the place to an error of the parser.
func parseError(source string, err error) string {
	var at *gojq.ParseError
	if !errors.As(err, &at) || at.Offset < 0 || at.Offset > len(source) {
		return err.Error()
	}
	before := source[:at.Offset]
	line := strings.Count(before, "\n") + 1
	column := at.Offset - strings.LastIndexByte(before, '\n') - len(at.Token)
	return fmt.Sprintf("%v, in line %d near column %d", err, line, max(column, 1))
}

// outside finds a call in a program of a function that is not there.
func outside(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		if f, ok := v.Interface().(*gojq.Func); ok {
			if _, is := absent[f.Name]; is {
				return f.Name
			}
		}
		return outside(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			if name := outside(v.Index(i)); name != "" {
				return name
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := outside(v.Field(i)); name != "" {
				return name
			}
		}
	}
	return ""
}

// run sends data through programs, one after the other, and says which begins.
// The error is a sentence that says which of them failed (from 0, in a
// *StepError) and why.
func run(ctx context.Context, programs []*Program, data []byte, begin func(step int)) ([]byte, error) {
	if len(programs) == 0 {
		return data, nil
	}
	value, err := decode(data)
	if err != nil {
		return nil, &StepError{Err: err}
	}
	for i, p := range programs {
		begin(i)
		if value, err = p.run(ctx, value); err != nil {
			return nil, &StepError{Step: i, Err: err}
		}
	}
	out, err := encode(value)
	if err != nil {
		return nil, &StepError{Step: len(programs) - 1, Err: err}
	}
	return out, nil
}

// StepError says which of several programs failed.
type StepError struct {
	Step int
	Err  error
}

// Error says what is wrong, without the step.
func (e *StepError) Error() string { return e.Err.Error() }

// Unwrap is the error of the program.
func (e *StepError) Unwrap() error { return e.Err }

func decode(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("the data is not JSON: %w", err)
	}
	return v, nil
}

func (p *Program) run(ctx context.Context, in any) (out any, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the program broke: %v", v)
		}
	}()
	results := p.code.RunWithContext(ctx, in)
	out, ok := results.Next()
	if !ok {
		return nil, errors.New("the program gives no result; it must give one")
	}
	if err := failure(out); err != nil {
		return nil, err
	}
	switch more, ok := results.Next(); {
	case !ok:
		return out, nil
	case failure(more) != nil:
		return nil, failure(more)
	}
	return nil, errors.New("the program gives more than one result; it must give one")
}

// failure is the error that a program gave in place of a result.
func failure(result any) error {
	err, ok := result.(error)
	switch {
	case !ok:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return errTooLong
	}
	return errors.New("the program failed: " + hook.Clip(err.Error()))
}
