package bench

import (
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The measures of a picture, in its own units.
const (
	svgWidth   = 870
	svgPanel   = 250 // height of one scenario
	plotLeft   = 70
	plotRight  = 560 // the legend is right of it
	plotTop    = 44
	plotBottom = 206
)

// svgStyle has two sets of colours, for light and dark pages. A series keeps its
// colour; p99 is the full line, p50 the dashed one.
const svgStyle = `<style>
svg { font: 12px system-ui, sans-serif; --page: #fff; --ink: #222; --soft: #666; --grid: #ddd }
.page { fill: var(--page) } text { fill: var(--ink) } .title { font-size: 14px; font-weight: 600 } .soft { fill: var(--soft) }
.grid { stroke: var(--grid) } path { fill: none; stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round } .p50 { stroke-dasharray: 4 3 }
.c0 { stroke: #0b62c4 } .c1 { stroke: #c2410c } .c2 { stroke: #15803d } .c3 { stroke: #8b30b8 }
@media (prefers-color-scheme: dark) {
svg { --page: #16181d; --ink: #e6e6e6; --soft: #9aa0a6; --grid: #33373f }
.c0 { stroke: #6cb2ff } .c1 { stroke: #ff9a5c } .c2 { stroke: #5fd38a } .c3 { stroke: #d59bff }
}
</style>
`

const svgColours = 4

// drawable are the scenarios that have something to draw.
func drawable(all []ScenarioReport) (some []ScenarioReport) {
	for _, s := range all {
		for _, l := range s.Series {
			if len(l.P99) > 0 {
				some = append(some, s)
				break
			}
		}
	}
	return some
}

// writeSVG draws latency over time, one panel for each scenario.
func writeSVG(w io.Writer, scenarios []ScenarioReport) error {
	var b strings.Builder
	height := svgPanel * max(len(scenarios), 1)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", svgWidth, height, svgWidth, height)
	b.WriteString("<title>Latency over time, from due to arrived</title>\n" + svgStyle)
	fmt.Fprintf(&b, `<rect class="page" width="%d" height="%d"/>`+"\n", svgWidth, height)
	for i := range scenarios {
		fmt.Fprintf(&b, `<g transform="translate(0 %d)">`+"\n", i*svgPanel)
		newPanel(&scenarios[i]).draw(&b)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// panel is one scenario's axes: time from 0 on, and milliseconds by decades, for
// what is to be seen reaches from one to ten thousand.
type panel struct {
	*ScenarioReport
	seconds   float64
	low, high int // decades of a millisecond
}

func newPanel(s *ScenarioReport) *panel {
	p := &panel{ScenarioReport: s, low: math.MaxInt, high: math.MinInt}
	for _, l := range s.Series {
		p.seconds = max(p.seconds, float64(len(l.P99))*l.SlotSeconds)
		for i := range l.P99 {
			for _, v := range []float64{l.P50[i], l.P99[i]} {
				if v > 0 {
					p.low, p.high = min(p.low, int(math.Floor(math.Log10(v)))), max(p.high, int(math.Ceil(math.Log10(v))))
				}
			}
		}
	}
	if p.low > p.high { // nothing but zeros
		p.low, p.high = 0, 1
	}
	if p.low == p.high {
		p.high++
	}
	p.seconds = max(p.seconds, 1e-3)
	return p
}

func (p *panel) x(second float64) float64 {
	return plotLeft + second/p.seconds*(plotRight-plotLeft)
}

func (p *panel) y(ms float64) float64 {
	part := (math.Log10(ms) - float64(p.low)) / float64(p.high-p.low)
	return plotBottom - min(max(part, 0), 1)*(plotBottom-plotTop)
}

func (p *panel) draw(b *strings.Builder) {
	fmt.Fprintf(b, `<text class="title" x="%d" y="24">%s: latency over time</text>`+"\n", plotLeft, html.EscapeString(p.Name))
	for d := p.low; d <= p.high; d++ {
		y := p.y(math.Pow10(d))
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="soft" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, plotRight, y, y, plotLeft-6, y+4, plain(math.Pow10(d)))
	}
	fmt.Fprintf(b, `<text class="soft" x="14" y="%d" text-anchor="middle" transform="rotate(-90 14 %d)">due to arrived, ms</text>`+"\n",
		(plotTop+plotBottom)/2, (plotTop+plotBottom)/2)
	const steps = 5
	for i := range steps + 1 {
		second := p.seconds * float64(i) / steps
		fmt.Fprintf(b, `<text class="soft" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", p.x(second), plotBottom+18, plain(second))
	}
	fmt.Fprintf(b, `<text class="soft" x="%d" y="%d" text-anchor="middle">seconds since the window began</text>`+"\n", (plotLeft+plotRight)/2, plotBottom+36)
	for i, l := range p.Series {
		p.line(b, &l, l.P50, "p50", i)
		p.line(b, &l, l.P99, "p99", i)
		for j, name := range []string{"p99", "p50"} {
			y := plotTop + 10 + 36*i + 16*j
			fmt.Fprintf(b, `<path class="c%d %s" d="M%d %dh22"/><text x="%d" y="%d">%s</text>`+"\n",
				i%svgColours, name, plotRight+14, y-4, plotRight+42, y, html.EscapeString(l.Name+", "+name))
		}
	}
}

// plain writes a number of an axis, to three digits and without an exponent.
func plain(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := max(2-int(math.Floor(math.Log10(math.Abs(v)))), 0)
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// line draws a quantile of a series, with gaps where nothing was due.
func (p *panel) line(b *strings.Builder, l *Series, values []float64, quantile string, colour int) {
	fmt.Fprintf(b, `<path class="c%d %s" d="`, colour%svgColours, quantile)
	const down = "M%.1f %.1fh0" // seen as a dot, if nothing follows
	pen := down
	for i, v := range values {
		if l.Events[i] == 0 || v <= 0 {
			pen = down
			continue
		}
		fmt.Fprintf(b, pen, p.x((float64(i)+0.5)*l.SlotSeconds), p.y(v))
		pen = "L%.1f %.1f"
	}
	b.WriteString(`"/>` + "\n")
}

// draw writes the pictures to a file, or to one for each scenario in a folder
// that is there.
func (r *Report) draw(where string) (err error) {
	scenarios := drawable(r.Scenarios)
	if len(scenarios) == 0 {
		return errors.New("bench: none of these scenarios has a timetable, there is no latency over time to draw")
	}
	info, statErr := os.Stat(where)
	if statErr != nil || !info.IsDir() {
		return drawFile(where, scenarios)
	}
	for i := range scenarios {
		if err := drawFile(filepath.Join(where, scenarios[i].Name+".svg"), scenarios[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func drawFile(name string, scenarios []ScenarioReport) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	err = writeSVG(f, scenarios)
	return errors.Join(err, f.Close())
}
