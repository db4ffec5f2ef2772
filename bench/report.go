package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// Report is all that a run of the benchmark measured.
type Report struct {
	Started   time.Time        `json:"started"`
	Seconds   float64          `json:"seconds"`
	Version   string           `json:"version"`
	Commit    string           `json:"commit"`
	Machine   Machine          `json:"machine"`
	Settings  Settings         `json:"settings"`
	Scenarios []ScenarioReport `json:"scenarios"`
}

// Settings are the options that shape the load.
type Settings struct {
	WindowSeconds float64 `json:"window_seconds"`
	Runs          int     `json:"runs"`
	Endpoints     int     `json:"endpoints"` // 0: the scenario's own
	Size          int     `json:"size"`
	Connections   int     `json:"connections"`
	Batch         int     `json:"batch"`
	Rate          float64 `json:"rate"`  // 0: the scenario's own
	Store         string  `json:"store"` // "data folder" or "postgres"
}

// ScenarioReport is what one scenario measured.
type ScenarioReport struct {
	Name    string   `json:"name"`
	About   string   `json:"about"`
	Figures []Figure `json:"figures"`
	Series  []Series `json:"series,omitempty"` // of scenarios with a timetable
}

// Figure is one measured quantity.
type Figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Median float64   `json:"median"`
	Values []float64 `json:"values"` // of the runs, in order
}

// figures collects a scenario's quantities over its runs.
type figures struct {
	list  []Figure
	lines []*line
}

func (f *figures) add(name, unit string, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		value = 0 // JSON has no such numbers; a count of nothing shows why
	}
	i := slices.IndexFunc(f.list, func(x Figure) bool { return x.Name == name && x.Unit == unit })
	if i < 0 {
		i = len(f.list)
		f.list = append(f.list, Figure{Name: name, Unit: unit})
	}
	f.list[i].Values = append(f.list[i].Values, value)
}

// quantiles adds quantiles of a histogram in ms; 1 is the maximum.
func (f *figures) quantiles(name string, h *histogram, qs ...float64) {
	for _, q := range qs {
		label := "p" + strconv.FormatFloat(q*100, 'f', -1, 64)
		if q == 1 {
			label = "max"
		}
		f.add(name+", "+label, "ms", milliseconds(h.quantile(q)))
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (f *figures) done() []Figure {
	for i := range f.list {
		f.list[i].Median = median(f.list[i].Values)
	}
	return f.list
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// storeKind says where events are kept. A URL may hold a password.
func storeKind(o Options) string {
	if o.Store == "" {
		return "data folder"
	}
	return privateStore
}

func newReport(o Options, now time.Time) *Report {
	return &Report{
		Started: now, Version: o.Version, Commit: o.Commit, Machine: thisMachine(),
		Settings: Settings{
			WindowSeconds: o.Duration.Seconds(), Runs: o.Runs, Endpoints: o.Endpoints, Size: o.Size,
			Connections: o.Connections, Batch: o.Batch, Rate: o.Rate, Store: storeKind(o),
		},
	}
}

func (r *Report) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func (r *Report) table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "machine\t%s\n", r.Machine)
	fmt.Fprintf(t, "program\tgrapnel %s, commit %s\n", orDefault(r.Version, "unknown"), orDefault(r.Commit, "unknown"))
	s := r.Settings
	endpoints := "each scenario's own endpoints"
	if s.Endpoints > 0 {
		endpoints = strconv.Itoa(s.Endpoints) + " endpoint(s)"
	}
	fmt.Fprintf(t, "load\t%d B of data, %d connections, %s, windows of %g s, %d run(s); server, load and receiver share the machine\n",
		s.Size, s.Connections, endpoints, s.WindowSeconds, s.Runs)
	for _, sc := range r.Scenarios {
		fmt.Fprintf(t, "\n%s\t%s\n", sc.Name, sc.About)
		for _, f := range sc.Figures {
			fmt.Fprintf(t, "  %s\t%s %s\t%s\n", f.Name, number(f.Median), f.Unit, runs(f.Values))
		}
	}
	return t.Flush()
}

// runs writes the single values behind a median.
func runs(values []float64) string {
	if len(values) < 2 {
		return ""
	}
	text := "("
	for i, v := range values {
		if i > 0 {
			text += ", "
		}
		text += number(v)
	}
	return text + ")"
}

// number writes three or more significant digits, and whole numbers as such.
func number(v float64) string {
	switch a := math.Abs(v); {
	case v == math.Trunc(v), a >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}
