package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"grapnel/internal/config"
	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
	"grapnel/internal/dispatch"
	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
)

// DialectFolder is the folder in a data folder with the operator's own dialects,
// one file each, whose name ends in .yaml or .yml.
const DialectFolder = sqlite.DialectFolder

// Dialects are the wire contracts that are built in. An error is a mistake in
// one of them.
func Dialects() (*dialect.Registry, error) { return all.Registry() }

// DialectsOf are the wire contracts that a server on a data folder speaks: those
// that are built in, and the operator's own. What is wrong with the operator's
// is told as joined *config.Errors, one for each file.
func DialectsOf(data string) (*dialect.Registry, error) {
	vendors, err := all.Vendors()
	if err != nil {
		return nil, err
	}
	var list []*dialect.Dialect
	for _, v := range vendors {
		list = append(list, v.Dialects...)
	}
	files, err := dialectFiles(data)
	if err != nil {
		return nil, err
	}
	var faults []error
	from := map[string]string{} // the file of each of the operator's
	for _, file := range files {
		d, err := readDialect(file)
		if err == nil {
			err = fits(d, list, from, file)
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		list, from[d.Name()] = append(list, d), file
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return dialect.NewRegistry(list...)
}

// dialectFiles lists the operator's files, sorted.
func dialectFiles(data string) ([]string, error) {
	folder := filepath.Join(data, DialectFolder)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if info, statErr := os.Stat(data); statErr != nil || !info.IsDir() {
		return nil, nil // whoever opens the data folder says what is wrong with it
	}
	if err != nil {
		return nil, dialectFault(folder, err.Error(), "let it be a folder that this user may read, or take it away")
	}
	var files []string
	for _, e := range entries {
		ext, file := filepath.Ext(e.Name()), filepath.Join(folder, e.Name())
		if ext != ".yaml" && ext != ".yml" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if !sqlite.IsDialectFile(e.Name()) {
			return nil, dialectFault(file, "the name of a dialect file has up to 100 of A-Z a-z 0-9 _ . @ -", "give the file another name; what the dialect is called is in it")
		}
		files = append(files, file)
	}
	return files, nil
}

func readDialect(file string) (*dialect.Dialect, error) {
	const remedy = "correct the file, or take it out of the folder; grapnel dialect check FILE tells more"
	text, err := dialectText(file)
	if err != nil {
		return nil, dialectFault(file, err.Error(), remedy)
	}
	d, err := dialect.Load(file, text)
	var wrong *dialect.LoadError
	switch {
	case errors.As(err, &wrong):
		return nil, dialectFault(fmt.Sprintf("%s:%d", wrong.File, wrong.Line), wrong.Reason, remedy)
	case err != nil:
		return nil, dialectFault(file, err.Error(), remedy)
	}
	return d, nil
}

// dialectText reads a file, but nothing that a start would wait for: a pipe has
// no end, and what is too large is no dialect.
func dialectText(file string) ([]byte, error) {
	switch info, err := os.Stat(file); { // of what a link leads to
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("this is no regular file")
	case info.Size() > dialect.MaxFile:
		return nil, fmt.Errorf("the file has %d bytes, more than %d", info.Size(), dialect.MaxFile)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, dialect.MaxFile+1)) // it may grow meanwhile
}

func dialectFault(place, reason, remedy string) error {
	return &config.Error{Setting: place, Source: place, Reason: reason, Remedy: remedy}
}

// fits refuses a dialect whose name is taken, or that is no variant of those it
// shares a family with: they have their tenants' secrets and their endpoints'
// ids together.
func fits(d *dialect.Dialect, others []*dialect.Dialect, from map[string]string, file string) error {
	for _, o := range others {
		whose := "that is built in"
		if f := from[o.Name()]; f != "" {
			whose = "in " + f
		}
		switch {
		case o.Name() == d.Name():
			return dialectFault(file, fmt.Sprintf("the name %s is that of the dialect %s", d.Name(), whose), "give it another name")
		case o.Family() != d.Family():
		case o.SecretOwner() != d.SecretOwner() || o.SecretUnique() != d.SecretUnique() || o.IDs() != d.IDs():
			return dialectFault(file, fmt.Sprintf("%s would be a variant of the dialect %s %s, and has another rule for secrets or ids", d.Name(), o.Name(), whose),
				"give it a name of its own, or the same ids, secret.owner, secret.made and secret.unique")
		}
	}
	return nil
}

// checkDialects checks the operator's dialects, and that events stay as long as
// every schedule goes on.
func checkDialects(settings *config.Config) error {
	dialects, err := DialectsOf(settings.Data)
	if err != nil {
		return err
	}
	return checkRetention(dialects, settings.Retention)
}

// checkRetention refuses to forget events that are still being retried.
func checkRetention(dialects *dialect.Registry, retention config.Duration) error {
	var longest time.Duration
	whose := ""
	for _, name := range dialects.Names() {
		d, _ := dialects.Get(name)
		if span := d.Schedule(nil).Span(); span > longest {
			longest, whose = span, name
		}
	}
	if longest < retention.Std() {
		return nil
	}
	days := config.Duration((longest/(24*time.Hour) + 1) * 24 * time.Hour)
	return &config.Error{Setting: "--retention", Reason: fmt.Sprintf("%s is shorter than the retry schedule of the dialect %s", retention, whose),
		Remedy: fmt.Sprintf("write %s or more: an event must not go while it is being retried", days)}
}

// pin stores what shapes bodies as it is at this start, and gives it with what it
// was before. Dialects that are built in count too: a newer program may have
// other texts of them.
func (s *Server) pin(ctx context.Context, dialects *dialect.Registry) (*dispatch.Pins, error) {
	now := map[string][]byte{hook.PinnedURL: []byte(s.PublicURL())}
	for _, name := range dialects.Names() {
		d, _ := dialects.Get(name)
		now[hook.PinnedDialect+name] = []byte(d.Source())
	}
	if err := s.manager.Pin(ctx, now); err != nil {
		return nil, err
	}
	p := &dispatch.Pins{Types: s.directory, Converters: s.converters, Programs: s.programs}
	p.Renew(s.pinned(dialects))
	if s.shared() {
		s.directory.Watch(func(changed *store.Configuration) {
			if len(changed.Pinned) > 0 {
				p.Renew(s.pinned(dialects))
			}
		})
	}
	return p, nil
}

// pinned reads what shapes bodies, as it was. What another server has pinned since this
// one began counts from then on.
func (s *Server) pinned(dialects *dialect.Registry) (urls []hook.Past[string], texts map[string][]hook.Past[dispatch.PastDialect]) {
	const on = math.MaxInt64
	p := s.directory.Pinned(hook.PinnedURL)
	for _, past := range p.Past {
		urls = append(urls, hook.Past[string]{Before: past.Before, At: past.At, Value: string(past.Value)})
	}
	if now := string(p.Value); now != s.PublicURL() {
		urls = append(urls, hook.Past[string]{Before: on, Value: now})
	}
	texts = map[string][]hook.Past[dispatch.PastDialect]{}
	for _, name := range dialects.Names() {
		own, _ := dialects.Get(name)
		p := s.directory.Pinned(hook.PinnedDialect + name)
		for _, past := range p.Past {
			d, err := dialect.Load(name+" until "+past.At.Format(time.RFC3339), past.Value)
			if err == nil {
				s.manager.PinSettings(d)
			}
			texts[name] = append(texts[name], hook.Past[dispatch.PastDialect]{Before: past.Before, At: past.At, Value: dispatch.PastDialect{Dialect: d, Err: err}})
		}
		if string(p.Value) == string(own.Source()) {
			continue
		}
		if d, err := dialect.Load(name+" of another server", p.Value); err == nil { // a newer program's, it may not be one to this
			s.manager.PinSettings(d)
			texts[name] = append(texts[name], hook.Past[dispatch.PastDialect]{Before: on, Value: dispatch.PastDialect{Dialect: d}})
		}
	}
	return urls, texts
}

// withMissing are the dialects with those, as they were last, that endpoints
// speak and that are not there any more: they still say which events go to
// these endpoints. What goes there waits, of which it warns.
func (s *Server) withMissing(dialects *dialect.Registry) (*dialect.Registry, error) {
	missing := map[string]int{}
	for name, n := range s.directory.CountDialects() {
		if _, ok := dialects.Get(name); !ok {
			missing[name] = n
		}
	}
	if len(missing) == 0 {
		return dialects, nil
	}
	var list []*dialect.Dialect
	for _, name := range dialects.Names() {
		d, _ := dialects.Get(name)
		list = append(list, d)
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		s.logger.Warn("endpoints speak a dialect that is not there: their deliveries wait until its file is back", "dialect", name, "endpoints", missing[name],
			"folder", filepath.Join(s.settings.Data, DialectFolder))
		if p := s.directory.Pinned(hook.PinnedDialect + name); p != nil {
			if d, err := dialect.Load(name, p.Value); err == nil {
				s.manager.PinSettings(d)
				list = append(list, d)
			}
		}
	}
	return dialect.NewRegistry(list...)
}
