package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"grapnel/internal/spelling"
)

// maxFile is the most that is read of a settings file or of a file with a
// secret, in bytes.
const maxFile = 64 << 10

// File is a settings file that has been read: YAML, a mapping of flags without
// dashes ("max-in-flight") to their values. Lists are for flags that may be
// given several times.
type File struct {
	name   string
	values map[string]entry
}

type entry struct {
	line  int
	texts []string
}

// Values gives what the file says of a setting, one text for each value; nil
// if it says nothing.
func (f *File) Values(setting string) []string {
	if f == nil {
		return nil
	}
	return f.values[setting].texts
}

// Source is where the file sets a setting, as "file:line"; "" if nowhere.
func (f *File) Source(setting string) string {
	if f == nil || f.values[setting].line == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d", f.name, f.values[setting].line)
}

// ReadFile reads a settings file. Its errors are *Errors, one for each fault,
// joined; a key that is no setting is one, as is a value that is not of its
// setting's kind. Whether values are in range is for Validate.
func ReadFile(name string) (*File, error) {
	text, err := readSmall(name)
	if err != nil {
		return nil, &Error{Setting: "--config", Reason: err.Error(), Remedy: "name a YAML file that this user may read, such as /etc/grapnel/grapnel.yaml"}
	}
	r := &fileReader{File: File{name: name, values: map[string]entry{}}}
	r.read(text)
	return &r.File, errors.Join(r.errs...)
}

type fileReader struct {
	File
	errs []error
}

func (r *fileReader) fault(setting string, line int, reason, remedy string) {
	r.errs = append(r.errs, &Error{Setting: setting, Source: fmt.Sprintf("%s:%d", r.name, line), Reason: reason, Remedy: remedy})
}

const fileForm = "write one setting a line, such as retention: 30d"

func (r *fileReader) read(text []byte) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		line, reason := 1, err.Error()
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			reason = syntax.GetMessage()
			if tk := syntax.GetToken(); tk != nil && tk.Position != nil {
				line = tk.Position.Line
			}
		}
		r.fault("--config", line, reason, fileForm)
		return
	}
	for i, doc := range file.Docs {
		switch m := doc.Body.(type) {
		case nil, *ast.CommentGroupNode: // nothing is set
		case *ast.MappingNode:
			if i > 0 {
				r.fault("--config", lineOf(m), "the file has more than one document", "leave the lines with --- out")
				return
			}
			for _, pair := range m.Values {
				r.pair(pair)
			}
		default:
			r.fault("--config", lineOf(doc.Body), "the file is no mapping of settings to values", fileForm)
		}
	}
}

func (r *fileReader) pair(p *ast.MappingValueNode) {
	line := lineOf(p.Key)
	key := p.Key.String()
	f, problem := findField(key)
	if problem != "" {
		r.fault(key, line, "is no setting", problem)
		return
	}
	if r.values[key].line != 0 {
		r.fault("--"+key, line, fmt.Sprintf("is set again, after line %d", r.values[key].line), "leave one of them out")
		return
	}
	nodes := []ast.Node{p.Value}
	if list, ok := p.Value.(*ast.SequenceNode); ok {
		if nodes = list.Values; !f.list() {
			r.fault("--"+key, line, "is a list, and takes one value", fmt.Sprintf("write %s: and the value", key))
			return
		}
	}
	e := entry{line: line, texts: []string{}}
	for _, n := range nodes {
		text, ok := scalar(n)
		if !ok {
			r.fault("--"+key, lineOf(n), "has no plain value", fmt.Sprintf("write a text or a number (%s), in quotes if it begins with a special character", f.bounds()))
			return
		}
		e.texts = append(e.texts, text)
	}
	var scratch Config
	if err := f.set(&scratch, e.texts...); err != nil {
		reason, remedy, _ := strings.Cut(err.Error(), "; ")
		if remedy == "" {
			remedy = "write " + f.bounds()
		}
		r.fault("--"+key, line, reason, remedy)
		return
	}
	r.values[key] = e
}

// findField looks a file's key up, and says what to write instead of one that
// is none.
func findField(key string) (field, string) {
	var known []string
	for _, f := range fields() {
		if f.name == key && key != "" {
			return f, ""
		}
		if f.name != "" {
			known = append(known, f.name)
		}
	}
	switch strings.ReplaceAll(strings.ToLower(key), "_", "-") {
	case "admin-key", "secret-key":
		return field{}, fmt.Sprintf("a settings file holds no secrets: put the key into a file of its own and name that with %s-file", strings.ReplaceAll(strings.ToLower(key), "_", "-"))
	case "config":
		return field{}, "a settings file cannot name another one"
	}
	if near := spelling.Nearest(strings.ReplaceAll(key, "_", "-"), known); near != "" {
		return field{}, "did you mean " + near + "?"
	}
	return field{}, "grapnel config reference lists what there is"
}

// scalar is a plain value as it is written, without its quotes.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func lineOf(n ast.Node) int {
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		return n.GetToken().Position.Line
	}
	return 1
}

// readSmall reads a whole file that must not be larger than maxFile.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than %s", name, Size(maxFile))
	}
	return text, err
}

// ReadSecrets fills in the secrets: from the environment, which getenv reads,
// or from the files that the settings name. Its errors are *Errors and never
// quote what a file holds.
func (c *Config) ReadSecrets(getenv func(string) string, from Sources) error {
	v := &checker{from: from}
	v.secret(&c.AdminKey, getenv(EnvAdminKey), EnvAdminKey, "admin-key-file", c.AdminKeyFile)
	v.secret(&c.SecretKey, getenv(EnvSecretKey), EnvSecretKey, "secret-key-file", c.SecretKeyFile)
	v.secret(&c.ProxyAuth, "", "", "egress-proxy-auth-file", c.EgressProxyAuthFile)
	if user, _, ok := strings.Cut(c.ProxyAuth, ":"); c.ProxyAuth != "" && (!ok || user == "" || strings.ContainsAny(c.ProxyAuth, "\r\n")) {
		v.fault("egress-proxy-auth-file", "does not hold USER:PASSWORD", "write the two on one line with a colon between")
	}
	return errors.Join(v.errs...)
}

func (v *checker) secret(into *string, env, envName, setting, file string) {
	*into = env
	if file == "" {
		return
	}
	if env != "" {
		v.fault(setting, "is set, and "+envName+" too", "use one of them")
		return
	}
	text, err := readSmall(file)
	if err == nil && len(bytes.TrimSpace(text)) == 0 {
		err = fmt.Errorf("%s is empty", file)
	}
	if err != nil {
		v.fault(setting, err.Error(), "name a file that holds the secret and that this user may read")
		return
	}
	*into = string(bytes.TrimSpace(text))
}
