package convert_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"grapnel/internal/convert"
	"grapnel/internal/hook"
)

// patience bounds what never comes.
const patience = time.Minute

func TestMain(m *testing.M) {
	convert.Child()
	switch os.Getenv("TEST_CHILD") {
	case "talks":
		_, _ = os.Stdout.WriteString("R" + strings.Repeat("o", 100))
		time.Sleep(patience)
		return
	case "is silent":
		_, _ = os.Stdout.WriteString("R")
		time.Sleep(patience)
		return
	case "ends":
		return
	}
	goleak.VerifyTestMain(m)
}

func pool(t testing.TB, c convert.PoolConfig) *convert.Pool {
	t.Helper()
	p := convert.NewPool(c)
	t.Cleanup(p.Close)
	return p
}

// What programs give and what is said of their mistakes is the same in a child
// as here.
func TestPoolIsAsInProcess(t *testing.T) {
	t.Parallel()
	p := pool(t, convert.PoolConfig{})
	for _, c := range []struct {
		programs []string
		data     string
	}{
		{nil, ` {"b":1}`},
		{[]string{"."}, `{"b":1.10,"a":[true,null,"é"]}`},
		{[]string{"{n: .a}", "{m: .n}", ".m"}, `{"a":12345678901234567890123}`},
		{[]string{"."}, `{`},
		{[]string{".", "empty"}, `1`},
		{[]string{".", ".", `error("why")`}, `1`},
		{[]string{".", "nonesuch"}, `1`},
		{[]string{".", "now"}, `1`},
		{[]string{".", strings.Repeat(" ", 20000)}, `1`},
		{[]string{".", `"x" * 5000000`}, `1`},
		{[]string{".", "def f: f; f"}, `1`},
		{[]string{`"x" * 4000000`}, `1`},
	} {
		want, wrong := new(convert.InProcess).Run(t.Context(), c.programs, []byte(c.data))
		got, err := p.Run(t.Context(), c.programs, []byte(c.data))
		if string(got) != string(want) || fmt.Sprint(err) != fmt.Sprint(wrong) || step(err) != step(wrong) || hook.CodeOf(err) != hook.CodeOf(wrong) {
			t.Errorf("%.60q of %s: got %.60s, %v in step %d, want %.60s, %v in step %d", c.programs, c.data, got, err, step(err), want, wrong, step(wrong))
		}
		wrong, err = new(convert.InProcess).Check(t.Context(), c.programs), p.Check(t.Context(), c.programs)
		if fmt.Sprint(err) != fmt.Sprint(wrong) || step(err) != step(wrong) || hook.CodeOf(err) != hook.CodeOf(wrong) {
			t.Errorf("check %.60q: got %v in step %d, want %v in step %d", c.programs, err, step(err), wrong, step(wrong))
		}
	}
}

// step is the step that failed, -1 if none did.
func step(err error) int {
	var failed *convert.StepError
	if !errors.As(err, &failed) {
		return -1
	}
	return failed.Step
}

// killers are programs that nothing in their own process can hold, and what is
// said of them.
var killers = map[string]string{
	"reduce range(4000000) as $i (1; [.]) | tojson | length": "too ",
	"reduce range(1000000) as $i (1; [.]) | tojson | length": "too ",
	"[range(1000000000)]":                                            "too ",
	`"x" * 1000000000 | length`:                                      "too ",
	`[range(100) | "x" * 100000000] | length`:                        "too ",
	`def p($n): if $n == 0 then 7 else p($n - 1) | . * . end; p(40)`: "too ",
	"def f: f; f":   "too long",
	"def f: [f]; f": "too ",
}

// A program cannot end or stall the process of the Pool, and the next one
// runs as if nothing had been.
func TestKillersEndTheirChildAlone(t *testing.T) {
	t.Parallel()
	p := pool(t, convert.PoolConfig{Children: 1})
	for program, want := range killers {
		begun := time.Now()
		_, err := p.Run(t.Context(), []string{".", program}, []byte("1"))
		if err == nil || !strings.Contains(err.Error(), want) || step(err) != 1 {
			t.Errorf("%s: got %v in step %d after %s, want an error with %q in step 1", program, err, step(err), time.Since(begun), want)
		}
		if got, err := p.Run(t.Context(), []string{".a"}, []byte(`{"a":1}`)); err != nil || string(got) != "1" {
			t.Errorf("after %s: got %s, %v", program, got, err)
		}
	}
}

// A child that somebody else ends is replaced, whether it works or not, and its
// work is done all the same.
func TestKilledChildIsReplaced(t *testing.T) {
	t.Parallel()
	p := pool(t, convert.PoolConfig{Children: 1, Deadline: patience})
	run := func(want string) {
		t.Helper()
		if got, err := p.Run(t.Context(), []string{".a"}, []byte(`{"a":`+want+`}`)); err != nil || string(got) != want {
			t.Fatalf("got %s, %v, want %s", got, err, want)
		}
	}
	run("1")
	pids := p.PIDs()
	if len(pids) != 1 {
		t.Fatalf("there are the children %v, want one", pids)
	}
	kill(t, pids[0])
	run("2")
	again := p.PIDs()
	if len(again) != 1 || again[0] == pids[0] {
		t.Fatalf("there are the children %v after %v", again, pids)
	}
	done := make(chan string, 1)
	go func() {
		out, err := p.Run(t.Context(), []string{"reduce range(200000) as $i (0; . + 1)"}, []byte("null"))
		done <- fmt.Sprintf("%s %v", out, err)
	}()
	for len(p.PIDs()) > 0 { // until it works
		time.Sleep(time.Millisecond)
	}
	kill(t, again[0])
	if got := <-done; got != "200000 <nil>" {
		t.Errorf("got %s", got)
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
}

// A child that answers nonsense, or does not begin, is ended.
func TestStrangeChildren(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{"talks": "is no answer", "is silent": " too ", "ends": "cannot be run now"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			program, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			p := convert.Started(convert.PoolConfig{Deadline: 10 * time.Millisecond}, func() *exec.Cmd {
				cmd := exec.Command(program)
				cmd.Env = []string{"TEST_CHILD=" + mode}
				return cmd
			})
			defer p.Close()
			if _, err := p.Run(t.Context(), []string{"."}, []byte("1")); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want an error with %q", err, want)
			}
			if pids := p.PIDs(); len(pids) > 0 {
				t.Errorf("the children %v are still there", pids)
			}
		})
	}
}

// Many run at once in a few children, each gets its own result, and nobody
// leaves children behind.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	p := pool(t, convert.PoolConfig{Children: 2, Idle: 20 * time.Millisecond, Wait: patience})
	if pids := p.PIDs(); len(pids) > 0 {
		t.Errorf("there are children before there is work: %v", pids)
	}
	var all sync.WaitGroup
	for i := range 500 {
		all.Go(func() {
			want := fmt.Sprint(i)
			got, err := p.Run(t.Context(), []string{fmt.Sprintf(".a[%d]", i%7)}, []byte("{\"a\":["+strings.TrimSuffix(strings.Repeat(want+",", 7), ",")+"]}"))
			if err != nil || string(got) != want {
				t.Errorf("got %s, %v, want %s", got, err, want)
			}
			if n := len(p.PIDs()); n > 2 {
				t.Errorf("there are %d children", n)
			}
		})
	}
	all.Wait()
	for len(p.PIDs()) > 0 {
		time.Sleep(time.Millisecond)
	}
	if got, err := p.Run(t.Context(), []string{"."}, []byte("1")); err != nil || string(got) != "1" {
		t.Errorf("after the idle ones ended: %s, %v", got, err)
	}
}

// Who waits takes turns by program: those of an endless one do not keep another
// waiting for all of them.
func TestWaitingTakesTurns(t *testing.T) {
	t.Parallel()
	p := pool(t, convert.PoolConfig{Children: 1, Deadline: 100 * time.Millisecond, Wait: patience})
	var mu sync.Mutex
	var order []string
	var all sync.WaitGroup
	for i, program := range append(slices.Repeat([]string{"def f: f; f"}, 5), ".") {
		all.Go(func() {
			_, _ = p.Run(t.Context(), []string{program}, []byte("1"))
			mu.Lock()
			defer mu.Unlock()
			order = append(order, program)
		})
		gone := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(order)
		}
		for p.Waiting() < i-gone() { // one runs, the others wait
			time.Sleep(time.Millisecond)
		}
	}
	all.Wait()
	if i := slices.Index(order, "."); i > 2 {
		t.Errorf("the other program came in place %d", i)
	}
}

// Waiting ends with the caller, after a time, and with the Pool.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	p := convert.NewPool(convert.PoolConfig{Children: 1, Deadline: patience, Wait: 50 * time.Millisecond})
	endless := make(chan error, 1)
	go func() {
		_, err := p.Run(t.Context(), []string{"def f: f; f"}, []byte("1"))
		endless <- err
	}()
	// Until it runs, another may be first.
	for p.Busy() == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Run(ctx, []string{"."}, []byte("1")); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left got %v", err)
	}
	if _, err := p.Run(t.Context(), []string{"."}, []byte("1")); !errors.Is(err, convert.ErrUnavailable) {
		t.Errorf("one who waited long got %v", err)
	}
	p.Close()
	if err := <-endless; !errors.Is(err, convert.ErrUnavailable) && !strings.Contains(fmt.Sprint(err), "took too long") {
		t.Errorf("what ran when the pool ended got %v", err)
	}
	if _, err := p.Run(t.Context(), []string{"."}, []byte("1")); !errors.Is(err, convert.ErrUnavailable) {
		t.Errorf("a pool that has ended gives %v", err)
	}
}

// A caller who leaves does not wait for the program.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	p := pool(t, convert.PoolConfig{Deadline: patience})
	if _, err := p.Run(t.Context(), []string{"."}, []byte("1")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Run(ctx, []string{"def f: f; f"}, []byte("1")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestWire(t *testing.T) {
	t.Parallel()
	for _, want := range [][]string{{"."}, {"a", "", "ccc"}, nil} {
		got, data, err := convert.WireRound(want, []byte("data"))
		if err != nil || !slices.Equal(got, want) || string(data) != "data" {
			t.Errorf("got %q, %q, %v, want %q", got, data, err, want)
		}
	}
}

// Where processes have no limit of the system's, as on Windows, the child looks
// after itself; see watchMemory.

func BenchmarkRun(b *testing.B) {
	in := convert.Runner(&convert.InProcess{})
	for name, r := range map[string]convert.Runner{"in process": in, "in a child": pool(b, convert.PoolConfig{})} {
		for _, size := range []int{1 << 10, 100 << 10} {
			data := []byte(`{"id":7,"price":{"value":1.50},"text":"` + strings.Repeat("x", size) + `"}`)
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				for b.Loop() {
					if _, err := r.Run(b.Context(), []string{"{id, price: .price.value, text}"}, data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
