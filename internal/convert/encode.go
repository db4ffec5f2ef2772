package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

var (
	errSize  = fmt.Errorf("the program's result is larger than %d bytes", MaxOutput)
	errDepth = fmt.Errorf("the program's result is nested more than %d deep", MaxDepth)
)

// encode writes a result as compact JSON. It is written here, not by gojq, for
// its bounds.
func encode(v any) ([]byte, error) { return appendValue(nil, v, MaxDepth) }

func appendValue(b []byte, v any, depth int) ([]byte, error) {
	if len(b) > MaxOutput {
		return nil, errSize
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case json.Number:
		return checked(append(b, v...))
	case *big.Int:
		if v.BitLen() > 3*MaxOutput {
			return nil, errSize
		}
		return checked(v.Append(b, 10))
	case float64:
		return appendFloat(b, v)
	case string:
		return appendText(b, v)
	case []any:
		return appendArray(b, v, depth)
	case map[string]any:
		return appendObject(b, v, depth)
	}
	return nil, fmt.Errorf("the program's result holds a %T, which is no JSON", v)
}

func checked(b []byte) ([]byte, error) {
	if len(b) > MaxOutput {
		return nil, errSize
	}
	return b, nil
}

func appendText(b []byte, s string) ([]byte, error) {
	if len(s) > MaxOutput {
		return nil, errSize
	}
	b, err := jsontext.AppendQuote(b, strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil {
		return nil, err
	}
	return checked(b)
}

// appendFloat writes a number that was computed, in the shortest form that
// reads back as the same.
func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("the program's result holds a number that JSON cannot write: not a number, or infinite")
	}
	text, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	return append(b, text...), nil
}

func appendArray(b []byte, list []any, depth int) ([]byte, error) {
	if depth == 0 {
		return nil, errDepth
	}
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, v, depth-1); err != nil {
			return nil, err
		}
	}
	return checked(append(b, ']'))
}

func appendObject(b []byte, object map[string]any, depth int) ([]byte, error) {
	if depth == 0 {
		return nil, errDepth
	}
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(object)) {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendText(b, name); err != nil {
			return nil, err
		}
		if b, err = appendValue(append(b, ':'), object[name], depth-1); err != nil {
			return nil, err
		}
	}
	return checked(append(b, '}'))
}
