//go:build unix

package docs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"go/format"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/client"
	"grapnel/internal/child"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/internal/testaid"
)

// shop is an application with an example of its own for each language.
type shop struct {
	store string // the database, as its owner
	env   []string
	api   *client.Client

	mu  sync.Mutex
	got []string // the data of what was delivered
}

// ServeHTTP takes deliveries.
func (s *shop) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var event struct{ Data json.RawMessage }
	body, err := io.ReadAll(req.Body)
	if err == nil {
		err = json.Unmarshal(body, &event)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, strings.ReplaceAll(string(event.Data), ": ", ":")) // spaces are each language's own
}

func (s *shop) delivered() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.got))
}

// startShop goes the way of the page, from an empty database on: it starts a server and
// runs the page's commands, which make a tenant, an endpoint and a role and publish. What
// runs with env afterwards connects as that role.
func startShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{store: pgtest.Start(t, pgtest.Options{Durable: true}).URL("postgres")} // of its own, for roles are a server's
	receiver := httptest.NewServer(s)
	t.Cleanup(receiver.Close)
	addr, err := child.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	const key = "gk_transactional-publish-of-the-page-01"
	server, err := child.Start(child.Config{
		Command: []string{filepath.Join(program, "grapnel"), "serve", "--listen", addr, "--egress-allow", "127.0.0.0/8"},
		Stdout:  t.Output(), Stderr: t.Output(),
		Env: []string{"GRAPNEL_STORE=" + s.store, "GRAPNEL_ADMIN_KEY=" + key, "GRAPNEL_SECRET_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := server.Ready(ctx, "http://"+addr+"/readyz"); err != nil {
		t.Fatal(err)
	}
	if s.api, err = client.New(client.Config{URL: "http://" + addr, Key: key}); err != nil {
		t.Fatal(err)
	}
	owner, err := url.Parse(s.store)
	if err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(), "PGHOST="+owner.Hostname(), "PGPORT="+owner.Port(), "PGDATABASE=postgres", "PGUSER=shop", "PGSSLMODE=disable")
	role := *owner
	role.User = url.User("shop")
	commands := strings.NewReplacer("https://shop.example/hooks", receiver.URL, "postgres://shop@db.example/shop", role.String())
	walk := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", commands.Replace(strings.Join(examples(t, "transactional.md", "sh"), "\n")))
	walk.Env = append(os.Environ(), "PATH="+program+":"+os.Getenv("PATH"), "GRAPNEL_URL=http://"+addr, "GRAPNEL_KEY="+key, "GRAPNEL_STORE="+s.store)
	if out, err := walk.CombinedOutput(); err != nil {
		t.Fatalf("the page's commands: %v\n%s", err, out)
	}
	return s
}

// run is how an example is run: what follows the code and calls it twice. The first call
// has to succeed and the second to fail, for that invoice cannot be committed.
type run struct {
	language, file string
	before, after  string
	probe          []string // succeeds where the language and its client are there
	command        []string
	optional       bool // scripts/setup does not install it
}

// jdbc is where Debian's package has the driver.
const jdbc = "/usr/share/java/postgresql.jar"

var runs = []run{
	{
		language: "js", file: "pay.cjs", probe: []string{"node", "-e", "require('pg')"}, command: []string{"node"},
		after: `
const { Client } = require('pg');
(async () => {
  const client = new Client();
  await client.connect();
  await pay(client, Number(process.argv[2]));
  const failed = await pay(client, Number(process.argv[3])).then(() => '', (error) => error.message);
  await client.end();
  process.exit(failed.includes('cannot be paid') ? 0 : 3);
})();
`,
	},
	{
		language: "python", file: "pay.py", probe: []string{"python3", "-c", "import psycopg"}, command: []string{"python3"},
		after: `
import psycopg, sys

connection = psycopg.connect("")
pay(connection, int(sys.argv[1]))
try:
    pay(connection, int(sys.argv[2]))
except psycopg.Error as error:
    sys.exit(0 if "cannot be paid" in str(error) else 4)
sys.exit(3)
`,
	},
	{
		language: "php", file: "pay.php", probe: []string{"php", "-r", "exit(extension_loaded('pdo_pgsql') ? 0 : 1);"}, command: []string{"php"},
		after: `
$db = new PDO('pgsql:');
pay($db, (int) $argv[1]);
try {
    pay($db, (int) $argv[2]);
} catch (PDOException $error) {
    exit(str_contains($error->getMessage(), 'cannot be paid') ? 0 : 4);
}
exit(3);
`,
	},
	{
		language: "ruby", file: "pay.rb", probe: []string{"ruby", "-e", "require 'pg'"}, command: []string{"ruby"},
		after: `
require "pg"

connection = PG.connect
pay(connection, Integer(ARGV[0]))
begin
  pay(connection, Integer(ARGV[1]))
rescue PG::Error => error
  exit error.message.include?("cannot be paid") ? 0 : 4
end
exit 3
`,
	},
	{
		language: "java", file: "Pay.java", probe: []string{"sh", "-c", "test -e " + jdbc + " && javac -version"}, command: []string{"java", "-cp", jdbc}, optional: true,
		before: "import java.sql.*;\n\nclass Pay {\n",
		after: `
    public static void main(String[] args) throws SQLException {
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        try (Connection db = DriverManager.getConnection(url, System.getenv("PGUSER"), "")) {
            pay(db, Long.parseLong(args[0]));
            try {
                pay(db, Long.parseLong(args[1]));
            } catch (SQLException e) {
                System.exit(e.getMessage().contains("cannot be paid") ? 0 : 4);
            }
        }
        System.exit(3);
    }
}
`,
	},
}

// The page's commands lead from an empty database to a delivered event, and its example
// in each language commits one event and rolls one back: exactly the committed ones are
// delivered. All of them connect as the role that may publish and nothing else.
func TestTransactionalExamples(t *testing.T) {
	t.Parallel()
	testaid.Require(t, "bash")
	testaid.Require(t, "psql")
	s := startShop(t)
	conn, err := pgx.Connect(t.Context(), s.store)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, err = conn.PgConn().Exec(t.Context(), `
		CREATE TABLE public.invoices (id bigint PRIMARY KEY, paid boolean NOT NULL);
		INSERT INTO public.invoices SELECT i, false FROM generate_series(100, 199) AS i;
		GRANT SELECT, UPDATE ON public.invoices TO shop;
		CREATE FUNCTION public.cannot_be_paid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'invoice % cannot be paid', NEW.id; END $$;
		CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON public.invoices DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.id % 2 = 1) EXECUTE FUNCTION public.cannot_be_paid()`).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`{"invoice":17}`} // of the page's commands
	var mu sync.Mutex
	t.Run("languages", func(t *testing.T) {
		for i, r := range runs {
			t.Run(r.language, func(t *testing.T) {
				t.Parallel()
				r.run(t, s, 100+2*i)
				mu.Lock()
				defer mu.Unlock()
				data, err := json.Marshal(map[string]int{"invoice": 100 + 2*i})
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, string(data))
			})
		}
		t.Run("go", func(t *testing.T) {
			t.Parallel()
			runGo(t, s, 198)
			mu.Lock()
			defer mu.Unlock()
			want = append(want, `{"id":198, "paid":true}`)
		})
	})
	slices.Sort(want)
	for end := time.Now().Add(patience); len(s.delivered()) < len(want) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	got := s.delivered()
	if !slices.Equal(got, want) {
		t.Errorf("delivered: %q, want %q", got, want)
	}
	var waiting, rejected int
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM grapnel.inbox), (SELECT count(*) FROM grapnel.rejected)`).Scan(&waiting, &rejected); err != nil || waiting+rejected != 0 {
		t.Errorf("%d events wait, %d are rejected: %v", waiting, rejected, err)
	}
}

// run runs an example for an invoice and the one after it.
func (r *run) run(t *testing.T, s *shop, invoice int) {
	modules, err := filepath.Abs("../test/js/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	env := append(slices.Clone(s.env), "NODE_PATH="+modules)
	probe, command := slices.Clone(r.probe), slices.Clone(r.command)
	there := func() bool {
		check := exec.CommandContext(t.Context(), probe[0], probe[1:]...)
		check.Env = env
		return check.Run() == nil
	}
	if !there() && r.language == "python" { // the client is Debian's, and another Python may be first in the path
		probe[0], command[0] = "/usr/bin/python3", "/usr/bin/python3"
	}
	if !there() {
		what := strings.Join(probe, " ") + " fails: there is no " + r.language + ", or no client of PostgreSQL for it"
		if r.optional {
			t.Skip("NOT TESTED: " + what)
		}
		testaid.Missing(t, what+"; scripts/setup installs them")
	}
	file := filepath.Join(t.TempDir(), r.file)
	if err := os.WriteFile(file, []byte(r.before+examples(t, "transactional.md", r.language)[0]+r.after), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), command[0], append(command[1:], file, fmt.Sprint(invoice), fmt.Sprint(invoice+1))...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// runGo runs the example in Go, which is built as a package of this module.
func runGo(t *testing.T, s *shop, invoice int) {
	code := examples(t, "transactional.md", "go")[0]
	if formatted, err := format.Source([]byte(code)); err != nil || string(formatted) != code {
		t.Errorf("the example is not as gofmt has it: %v", err)
	}
	const main = `package main

import (
	"context"
	"log"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5"
)

func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	for i, arg := range os.Args[1:] {
		invoice, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			log.Fatal(err)
		}
		if err := pay(ctx, conn, invoice); (err == nil) != (i == 0) {
			log.Fatalf("invoice %d: %v", invoice, err)
		}
	}
}
`
	dir := t.TempDir()
	replace := map[string]string{}
	for name, text := range map[string]string{"main.go": main, "pay.go": strings.Replace(code, "package shop", "package main", 1)} {
		file, err := filepath.Abs(filepath.Join("shop", name))
		if err != nil {
			t.Fatal(err)
		}
		replace[file] = filepath.Join(dir, name)
		if err := os.WriteFile(replace[file], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", filepath.Join(dir, "shop"), "./shop")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "shop"), fmt.Sprint(invoice), fmt.Sprint(invoice+1))
	cmd.Env = s.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
