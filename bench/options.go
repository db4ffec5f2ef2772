package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options says what to measure. Zero values get the defaults named here.
type Options struct {
	Scenarios   []string      // names of Scenarios; none: all that are marked as default
	Duration    time.Duration // of one window of load; default 10 s
	Dialects    []string      // that the scenario dialects holds against standard; it runs alone if no scenario is named
	Runs        int           // of each scenario, medians are printed; default 3
	Endpoints   int           // 0: as many as the scenario takes by itself
	Tenants     int           // of flood, and of million-endpoints; 0: as Endpoints
	Size        int           // bytes of an event's data; default 1024
	Connections int           // that publish at once; default 64
	Batch       int           // events in one post of the batch scenario; default 100
	Rate        float64       // events a second where the scenario has a timetable; default: the scenario's
	Events      int64         // that growth stores first; default 2,000,000
	Pending     int64         // deliveries that wait when backlog starts; default 10,000,000
	InFlight    int           // attempts that in-flight keeps under way; default 10,000
	Quota       int           // events a second that flood allows a tenant; default 2000
	JSON        bool          // print JSON instead of a table
	SVG         string        // where to draw latency over time: a file, or a folder that is there; "": nowhere

	// Store says where servers keep events: "" in a data folder, "postgres" in
	// databases of a PostgreSQL server that the benchmark starts for itself, or the URL of
	// one that is there, whose user may create databases.
	Store string

	Binary  string   // the program; default: the running one
	Dir     string   // where data folders are made and removed; default: the system's temporary folder
	Env     []string // added to the server's environment, "NAME=value"
	Version string   // of the program, for the report
	Commit  string   // as Version

	// Serve and Work override how the server and the workers are started; the
	// data folder and the address, or the role, are appended. For tests.
	Serve []string
	Work  []string
}

const (
	defaultDuration    = 10 * time.Second
	defaultRuns        = 3
	defaultSize        = 1024
	defaultConnections = 64
	defaultBatch       = 100
	defaultEvents      = 2_000_000
	defaultPending     = 10_000_000
	defaultInFlight    = 10_000
	defaultQuota       = 2000
)

// Validate refuses options that are out of range. 0 is the default of each.
func (o Options) Validate() error {
	switch {
	case o.Duration < 0 || o.Runs < 0 || o.Endpoints < 0 || o.Tenants < 0 || o.Connections < 0 || o.Rate < 0 || o.Events < 0 || o.Pending < 0 || o.Quota < 0:
		return errors.New("durations, counts and rates cannot be negative")
	case o.Size != 0 && (o.Size < 64 || o.Size > 1<<20):
		return fmt.Errorf("--size is %d bytes, it must be between 64 and %d", o.Size, 1<<20)
	case o.Batch != 0 && (o.Batch < 2 || o.Batch > 1000):
		return fmt.Errorf("--batch is %d events, it must be 2 to 1000", o.Batch)
	case o.Endpoints > mostEndpoints:
		return fmt.Errorf("--endpoints is %d, a tenant can have %d at most", o.Endpoints, mostEndpoints)
	case o.Tenants > mostTenants:
		return fmt.Errorf("--tenants is %d, it must be %d at most", o.Tenants, mostTenants)
	case o.InFlight < 0 || o.InFlight > mostInFlight:
		return fmt.Errorf("--in-flight is %d, it must be 1 to %d", o.InFlight, mostInFlight)
	}
	return checkStore(o.Store)
}

// What a server takes, by its settings' bounds.
const (
	mostEndpoints = 1_000_000
	mostTenants   = 1_000_000
	mostInFlight  = 40_000
)

// complete fills in defaults and refuses what cannot be measured.
func (o Options) complete() (Options, error) {
	o.Duration = orDefault(o.Duration, defaultDuration)
	o.Runs = orDefault(o.Runs, defaultRuns)
	o.Size = orDefault(o.Size, defaultSize)
	o.Connections = orDefault(o.Connections, defaultConnections)
	o.Batch = orDefault(o.Batch, defaultBatch)
	o.Events = orDefault(o.Events, defaultEvents)
	o.Pending = orDefault(o.Pending, defaultPending)
	o.InFlight = orDefault(o.InFlight, defaultInFlight)
	o.Quota = orDefault(o.Quota, defaultQuota)
	if err := o.Validate(); err != nil {
		return o, err
	}
	if len(o.Scenarios) == 0 && len(o.Dialects) > 0 {
		o.Scenarios = []string{"dialects"}
	}
	if slices.Contains(o.Scenarios, "dialects") && len(o.Dialects) == 0 {
		return o, errors.New("the scenario dialects needs --dialect: which ones to hold against standard")
	}
	if len(o.Scenarios) == 0 {
		for _, s := range scenarios() {
			if s.Default {
				o.Scenarios = append(o.Scenarios, s.Name)
			}
		}
	}
	var names []string
	timetable := false
	for _, name := range o.Scenarios {
		s, ok := find(name)
		if !ok {
			return o, fmt.Errorf("there is no scenario %q; there are %s", name, strings.Join(Scenarios(), ", "))
		}
		if s.Folder && o.Store != "" {
			return o, fmt.Errorf("the scenario %s is about what is in a data folder: there is none with --store", name)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		timetable = timetable || s.Timetable
	}
	o.Scenarios = names
	if folder, err := os.Stat(filepath.Dir(o.SVG)); o.SVG != "" && (err != nil || !folder.IsDir()) {
		return o, fmt.Errorf("--svg: there is no folder %s", filepath.Dir(o.SVG))
	}
	if o.SVG != "" && !timetable {
		return o, fmt.Errorf("--svg draws latency over time, and of the scenarios %s none has a timetable", strings.Join(names, ", "))
	}
	return o, nil
}

// endpoints is how many endpoints a scenario takes that has own by itself.
func (o *Options) endpoints(own int) int { return orDefault(o.Endpoints, own) }

func orDefault[T comparable](v, byDefault T) T {
	var zero T
	if v == zero {
		return byDefault
	}
	return v
}

// Scenarios lists the names of all scenarios.
func Scenarios() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.Name)
	}
	return names
}
