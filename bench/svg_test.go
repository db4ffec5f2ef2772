package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// drawn is a report with all that a picture has to cope with: several series, a
// gap, markup in a name, a series without a value, and a scenario without any.
func drawn() *Report {
	return &Report{Scenarios: []ScenarioReport{
		{Name: "hang", Series: []Series{
			{Name: "without it", SlotSeconds: 0.5, Events: []int64{50, 50, 50, 50}, P50: []float64{1.2, 1.3, 1.1, 1.2}, P99: []float64{4, 6.5, 5, 30}},
			{Name: "with <it>", SlotSeconds: 0.5, Events: []int64{50, 0, 50, 50}, P50: []float64{1.4, 0, 1.5, 1.6}, P99: []float64{5, 0, 140, 7}},
		}},
		{Name: "throughput"},
		{Name: "latency", Series: []Series{{Name: "nothing", SlotSeconds: 1, Events: []int64{0}, P50: []float64{0}, P99: []float64{0}}}},
	}}
}

func TestPicture(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := writeSVG(&b, drawable(drawn().Scenarios)); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "latency.svg")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the picture is another one; look at it, and write it with go test ./bench -run TestPicture -update:\n%s", b.String())
	}
	for dec := xml.NewDecoder(&b); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("it is not well-formed: %v", err)
		}
	}
}

func TestPicturesInAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := drawn().draw(dir); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 2 || filepath.Base(files[0]) != "hang.svg" || filepath.Base(files[1]) != "latency.svg" {
		t.Errorf("files: %v, %v", files, err)
	}
	if err := (&Report{}).draw(dir); err == nil || !strings.Contains(err.Error(), "timetable") {
		t.Errorf("nothing to draw: %v", err)
	}
	if err := drawn().draw(filepath.Join(dir, "no", "a.svg")); err == nil {
		t.Error("drawn into a folder that is not there")
	}
}

// A series is put together from the slots of several runs, by when events were
// due since each run's own beginning.
func TestSeries(t *testing.T) {
	t.Parallel()
	f := &figures{}
	for run := range 2 {
		begun := time.Unix(int64(1000*run), 0)
		a := &ages{slots: map[int64]*histogram{}}
		for i, age := range []time.Duration{time.Millisecond, 10 * time.Millisecond} {
			for range 10 {
				a.add(begun.Add(time.Duration(2*i)*time.Second), age, time.Second)
			}
		}
		a.add(begun.Add(-time.Hour), time.Second, time.Second) // of a clock that was set
		w := &window{slot: time.Second, load: &loadResult{First: begun.UnixNano()}, stats: &receiverStats{Groups: []*groupStats{{Slots: a.slots}}}}
		f.overTime("a", w, 0)
	}
	f.overTime("none", &window{}, 0)
	all := f.series()
	if len(all) != 1 || len(all[0].Events) != 3 || all[0].Events[0] != 20 || all[0].Events[1] != 0 || all[0].Events[2] != 20 || all[0].SlotSeconds != 1 {
		t.Fatalf("%+v", all)
	}
	if p := all[0].P99; p[0] < 0.9 || p[0] > 1.1 || p[1] != 0 || p[2] < 9 || p[2] > 11 {
		t.Errorf("p99: %v", p)
	}
	for window, want := range map[time.Duration]time.Duration{time.Second: 100 * time.Millisecond, 10 * time.Second: 250 * time.Millisecond, time.Hour: time.Second} {
		if got := slotOf(window); got != want {
			t.Errorf("slots of %s in a window of %s", got, window)
		}
	}
}

func TestNumbersOfAxes(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 0.01: "0.01", 0.4: "0.4", 1: "1", 1.5: "1.5", 2.3456: "2.35", 9.999: "10", 12.34: "12.3", 1000: "1000", 100000: "100000", 1234.5: "1234"} {
		if got := plain(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}
