//go:build unix

package serve_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/store/eithertest"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/internal/testaid"
)

// canaryRun is an installation with canaries in all its secrets: the program itself,
// receivers, and a collector of traces.
type canaryRun struct {
	*canaries
	program, home string
	env           []string // of every process
	address       string   // of the server that runs
	admin         string
	scheme        string            // "http", or "https" with roots
	roots         *x509.CertPool    // nil without a certificate
	log           *testaid.Buffer   // of the server that runs
	ids           map[string]string // of endpoints, by what they are for

	hooks, collector *httptest.Server
	wire             struct {
		sync.Mutex
		requests int
		statuses []int // what attempts get; then 200
	}
}

// canaryHeaders are the headers whose values go to their own endpoint, and nowhere else.
var canaryHeaders = []string{"Authorization", "X-Api-Key", "Cookie", "X-Custom-Token", "X-Client-Secret"}

func newCanaryRun(t *testing.T, program string) *canaryRun {
	r := &canaryRun{canaries: newCanaries(t), program: program, home: t.TempDir(), scheme: "http", ids: map[string]string{}}
	r.wire.statuses = []int{500, 200, 429, 404}
	answer := r.private("the body of an answer")
	r.hooks = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		own := 0
		for _, name := range canaryHeaders {
			if strings.Contains(req.Header.Get(name), secretMark) {
				own++
			}
			req.Header.Del(name)
		}
		if strings.HasPrefix(req.URL.Path, "/own") && own != len(canaryHeaders) {
			t.Errorf("%d of %d headers arrived", own, len(canaryHeaders))
		}
		raw, err := httputil.DumpRequest(req, true)
		if err != nil {
			t.Error(err)
		}
		r.search("wire", raw, false) // case 106
		r.wire.Lock()
		status := http.StatusOK
		if len(r.wire.statuses) > 0 {
			status, r.wire.statuses = r.wire.statuses[0], r.wire.statuses[1:]
		}
		r.wire.requests++
		r.wire.Unlock()
		if strings.HasPrefix(req.URL.Path, "/hangs-up") {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Answer", answer)
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	t.Cleanup(r.hooks.Close)
	r.collector = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if text, err := io.ReadAll(req.Body); err == nil {
			r.search("traces", text, true)
		}
	}))
	t.Cleanup(r.collector.Close)
	r.admin = "gk_" + r.secret("the admin key", 32)
	tmp := filepath.Join(r.home, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	r.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.home, "TMPDIR=" + tmp, "GRAPNEL_ADMIN_KEY=" + r.admin, "GRAPNEL_KEY=" + r.admin,
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT=" + r.collector.URL,
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=" + r.secret("the collector's header", 0), "OTEL_BSP_SCHEDULE_DELAY=50"}
	return r
}

// file writes a file in the home folder.
func (r *canaryRun) file(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// key is a key file's line with a canary in it.
func (r *canaryRun) key(place string) string {
	return base64.StdEncoding.EncodeToString([]byte(r.secret(place, 32))) + "\n"
}

// serve starts the server, and stops it when the returned function is called, by a signal.
func (r *canaryRun) serve(args ...string) (stop func(os.Signal)) {
	r.t.Helper()
	out := &testaid.Buffer{}
	r.log = out
	cmd := exec.Command(r.program, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-level", "debug", "--egress-allow", "127.0.0.0/8"}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = r.env, out, out
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	over := false
	stop = func(s os.Signal) {
		if over {
			return
		}
		over = true
		cmd.Process.Signal(s)
		select {
		case <-ended:
		case <-time.After(time.Minute):
			r.t.Error("the server does not end")
			cmd.Process.Kill()
			<-ended
		}
		r.search("log", []byte(out.String()), true)
	}
	r.t.Cleanup(func() { stop(syscall.SIGKILL) })
	address := regexp.MustCompile(`"listen":"(127.0.0.1:\d+)"`)
	await(r.t, "the server: "+strings.Join(args, " "), func() bool {
		if len(ended) > 0 {
			r.t.Fatal(out.String())
		}
		m := address.FindStringSubmatch(out.String())
		if m != nil {
			r.address = m[1]
		}
		return m != nil
	})
	back := regexp.MustCompile(`"admin_listen":"(127.0.0.1:\d+)"`).FindStringSubmatch(out.String())
	if back != nil {
		for _, path := range []string{"/metrics", "/readyz?verbose", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/vars", "/debug/pprof/cmdline"} {
			_, body := testaid.Get(r.t, "http://"+back[1]+path)
			r.search("metrics", []byte(body), true)
		}
	}
	return stop
}

// api asks the server, searches its answer but where a secret is shown on purpose, once,
// and returns the answer.
func (r *canaryRun) api(method, path, key, body string, once bool) (answer []byte) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.scheme+"://"+r.address+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Close = true
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if once {
		req.Header.Set("Idempotency-Key", fmt.Sprintf("once %x", sha256.Sum256([]byte(path+body))))
	}
	res, err := (&http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.roots, ServerName: "127.0.0.1"}}).RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := httputil.DumpResponse(res, true)
	if err != nil {
		r.t.Fatal(err)
	}
	if !once {
		r.search("api "+method+" "+path, raw, false)
	}
	if once && res.StatusCode >= 300 {
		r.t.Errorf("%s %s: %s", method, path, raw)
	}
	_, answer, _ = bytes.Cut(raw, []byte("\r\n\r\n"))
	return answer
}

// run calls the program, and searches what it prints.
func (r *canaryRun) run(stdin string, env []string, args ...string) {
	r.t.Helper()
	r.exec(false, stdin, env, args...)
}

// shown is run for what shows a secret on purpose, once.
func (r *canaryRun) shown(stdin string, args ...string) {
	r.t.Helper()
	if out, ok := r.exec(true, stdin, nil, args...); !ok {
		r.t.Errorf("%v: %s", args, out)
	}
}

func (r *canaryRun) exec(once bool, stdin string, env []string, args ...string) (out []byte, ok bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.program, args...)
	cmd.Env = append(append([]string(nil), r.env...), "GRAPNEL_URL=http://"+r.address)
	cmd.Env, cmd.Stdin, cmd.Dir = append(cmd.Env, env...), strings.NewReader(stdin), r.home
	out, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		r.t.Fatal(err)
	}
	if !once {
		r.search("cli "+strings.Join(args[:min(2, len(args))], " "), out, false)
	}
	return out, err == nil
}

// configure plants canaries in everything that can be configured.
func (r *canaryRun) configure() {
	r.t.Helper()
	const acme = "/v1/tenants/acme"
	whsec := func(place string) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(r.secret(place, 32)))
	}
	r.api("PUT", acme, r.admin, `{"name":"Acme","dialect":"api2cart","secret":"`+r.secret("the secret of a tenant", 32)+`"}`, true)
	headers := map[string]string{}
	for _, name := range canaryHeaders {
		headers[name] = r.secret("the header "+name, 0)
	}
	text, err := json.Marshal(headers)
	if err != nil {
		r.t.Fatal(err)
	}
	make := func(name, more string) {
		answer := r.api("PUT", acme+"/endpoints/"+name, r.admin, `{"url":"`+r.hooks.URL+`/`+name+`?token=`+r.private("the URL of "+name)+`","schedule":["1s","1h"]`+more+`}`, true)
		r.ids[name] = name
		if !json.Valid(answer) {
			r.t.Errorf("%s: %s", name, answer)
		}
	}
	make("own", `,"dialect":"standard","secret":"`+whsec("an endpoint's secret")+`","headers":`+string(text))
	make("private", `,"dialect":"standard","secret":"whsk_`+base64.StdEncoding.EncodeToString([]byte(r.secret("an endpoint's private key", 32)))+`"`)
	make("tenants", `,"event_types":["order.update"]`)
	const silent = `,"dialect":"standard","event_types":["none"]` // nothing is sent, so that only what is kept and shown counts
	make("basic", silent+`,"auth":{"type":"basic","username":"u","password":"`+r.secret("the password of an endpoint's auth", 0)+`"}`)
	make("bearer", silent+`,"auth":{"type":"bearer","token":"`+r.secret("the token of an endpoint's auth", 0)+`"}`)
	make("oauth2", silent+`,"auth":{"type":"oauth2","token_url":"`+r.hooks.URL+`/token","client_id":"i","client_secret":"`+r.secret("the client secret of an endpoint's auth", 0)+`"}`)
	make("hangs-up", `,"dialect":"standard","secret":"`+whsec("the secret of one that hangs up")+`"`)
	make("of-propstack", `,"dialect":"propstack","event_types":["property_updated"],"secret":"`+r.secret("the secret of propstack", 0)+`"`)
	make("of-smake", `,"dialect":"smake","secret":"`+r.secret("the secret of smake", 0)+`"`)
	make("of-sixpark", `,"dialect":"sixpark","secret":"`+r.secret("the secret of sixpark", 0)+`"`)
	r.api("POST", acme+"/endpoints/own/secret/rotate", r.admin, `{"secret":"`+whsec("a rotated secret")+`"}`, true)
	r.api("POST", acme+"/endpoints/private/secret/rotate", r.admin, `{"secret":"`+whsec("another rotated secret")+`","overlap":"0s"}`, true)
	r.ids["publisher"] = "gk_" + r.secret("a key that publishes", 32)
	r.api("POST", "/v1/keys", r.admin, `{"tenant":"acme","scopes":["publish"],"key":"`+r.ids["publisher"]+`"}`, true)
	r.ids["manager"] = "gk_" + r.secret("a key that manages", 32)
	r.api("POST", "/v1/keys", r.admin, `{"tenant":"acme","scopes":["manage"],"key":"`+r.ids["manager"]+`"}`, true)
	var link struct{ Token string }
	if err := json.Unmarshal(r.api("POST", acme+"/portal-links", r.ids["manager"], `{}`, true), &link); err != nil || len(link.Token) < 60 {
		r.t.Fatalf("a portal link %q: %v", link.Token, err)
	}
	r.ids["customer"] = link.Token
	r.mark("the token of a portal link", link.Token[len(link.Token)-40:]) // of its MAC

	r.ids["vendor"] = r.secret("an imported key", 32)
	r.run(`{"kind":"tenant","tenant":"haus","name":"Haus","dialect":"propstack"}
{"kind":"tenant","tenant":"shop","name":"Shop","dialect":"customers1st","secret":"`+r.secret("an imported secret of a tenant", 32)+`"}
{"kind":"key","tenant":"haus","key":"`+r.ids["vendor"]+`","scopes":["manage"]}
{"kind":"hook","tenant":"haus","dialect":"propstack","vendor_id":10,"event":"property_updated","url":"`+r.hooks.URL+`/imported","secret":"`+r.secret("an imported secret", 0)+`"}
{"kind":"hook","tenant":"haus","dialect":"propstack","vendor_id":"no number","event":"x","url":"`+r.hooks.URL+`/imported","secret":"`+r.secret("the secret of a record that is refused", 0)+`"}
`, nil, "import", "-", "--format", "ndjson")
}

// story publishes, fails, retries, and asks for everything there is.
func (r *canaryRun) story() {
	r.t.Helper()
	const acme = "/v1/tenants/acme"
	event := `{"type":"order.update","id":"k1","data":{"x":"` + r.private("an event's data") + `"},"previous":{"x":"` + r.private("an event's previous data") + `"},"metadata":{"store_id":"` + r.private("an event's metadata") + `"}}`
	r.api("POST", acme+"/events", r.ids["publisher"], event, false)
	r.api("POST", "/v1/tenants/haus/events", r.admin, `{"type":"property_updated","data":{"id":5},"previous":{"id":4}}`, false)
	r.api("POST", acme+"/endpoints/own/test", r.ids["manager"], `{}`, false)
	await(r.t, "attempts", func() bool {
		r.wire.Lock()
		defer r.wire.Unlock()
		return r.wire.requests >= 7
	})
	wrong := "gk_" + r.secret("a wrong key", 32)
	for _, c := range [][4]string{
		{"POST", acme + "/events", r.admin, strings.Replace(event, `{"x"`, `{"y"`, 1)},
		{"POST", acme + "/events", r.admin, `{"type":"a.b","data":"` + r.private("data that is no JSON")},
		{"POST", acme + "/events", wrong, event},
		{"GET", acme + "/endpoints?key=" + url.QueryEscape(r.secret("a parameter", 0)), r.admin, ""},
		{"PUT", acme + "/endpoints/refused", r.admin, `{"url":"https://user:` + r.secret("a password in a URL", 0) + `@example.com/"}`},
		{"PUT", acme + "/endpoints/refused", r.admin, `{"url":"https://example.com/","dialect":"standard","secret":"` + r.secret("a secret that is none", 0) + `"}`},
		{"PUT", acme + "/endpoints/refused", r.admin, `{"url":"https://example.com/","headers":{"X-Secret":"` + r.secret("a header that is refused", 0) + `\n"}}`},
		{"PUT", acme + "/endpoints/refused", r.admin, `{"url":"https://example.com/","auth":{"type":"bearer","token":"` + r.secret("a token that is refused", 0) + ` x"}}`},
		{"GET", acme + "/endpoints/oauth2", r.ids["manager"], ""},
		{"POST", "/v1/keys", r.admin, `{"tenant":"acme","scopes":["no scope"],"key":"gk_` + r.secret("a key that is refused", 32) + `"}`},
		{"POST", "/v1/keys", r.ids["publisher"], `{"tenant":"acme","scopes":["publish"]}`},
		{"GET", "/v1/tenants", "", ""}, {"GET", acme, r.ids["manager"], ""}, {"GET", acme + "/endpoints", r.ids["manager"], ""}, {"GET", acme + "/endpoints/own", r.ids["manager"], ""},
		{"PATCH", acme + "/endpoints/own", r.ids["manager"], `{"description":"changed"}`}, {"PATCH", acme + "/endpoints/of-smake", r.admin, `{"state":"paused"}`},
		{"GET", acme + "/events", r.ids["manager"], ""}, {"GET", acme + "/endpoints", r.ids["customer"], ""}, {"PATCH", acme + "/endpoints/own", r.ids["customer"], `{"timeout":5}`}, {"GET", acme + "/deliveries", r.ids["manager"], ""}, {"GET", "/v1/keys", r.admin, ""}, {"GET", "/v1/store", r.admin, ""},
		{"GET", "/v1/nodes", r.admin, ""}, {"GET", "/v1/openapi.json", r.admin, ""}, {"GET", "/v1/audit", r.admin, ""}, {"GET", "/metrics", "", ""}, {"GET", "/debug/pprof/heap?debug=1", r.admin, ""},
		{"POST", acme + "/replays", r.admin, `{"states":["failed","pending"]}`}, {"GET", acme + "/replays", r.admin, ""},
		{"GET", "/v1/hooks?api_key=" + r.ids["vendor"], "", ""}, {"GET", "/v1/hooks?api_key=" + wrong, "", ""},
		{"POST", "/v1/hooks?api_key=" + r.ids["vendor"] + "&event=client_created&target_url=https%3A%2F%2Fexample.com%2F&secret_key=" + r.secret("the secret of a vendor's API", 0), "", ""},
		{"GET", "/v1.0/webhook.list.json?api_key=" + r.ids["vendor"] + "&store_key=" + r.secret("a wrong key of a store", 0), "", ""},
		{"GET", "/v2/apps/17/webhooks/4711", r.ids["vendor"], ""},
	} {
		r.api(c[0], c[1], c[2], c[3], false)
	}
	var page struct{ Items, Data []struct{ ID string } }
	if err := json.Unmarshal(r.api("GET", acme+"/deliveries", r.admin, "", false), &page); err != nil {
		r.t.Error(err)
	}
	for _, d := range append(page.Items, page.Data...) {
		r.api("GET", acme+"/deliveries/"+d.ID, r.ids["manager"], "", false)
	}
	// An event's answer is told again, and its secret with it; it is kept sealed.
	r.api("POST", acme+"/endpoints/own/secret/rotate", r.admin, `{"secret":"whsec_no"}`, false)
	r.commands()
}

// commands are those that ask the server, and work with secrets in files.
func (r *canaryRun) commands() {
	r.t.Helper()
	secret := r.file("secret.txt", "whsec_"+base64.StdEncoding.EncodeToString([]byte(r.secret("a secret in a file", 32))))
	other := r.file("other.txt", r.secret("a secret in a file that is none", 0))
	r.shown("", "endpoints", "create", r.hooks.URL+"/cli", "--tenant", "acme", "--id", "cli", "--dialect", "standard", "--secret-file", secret)
	const request = "POST /hook HTTP/1.1\nwebhook-id: 1\nwebhook-timestamp: 1767366245\nwebhook-signature: v1,AAAA\n\n{}"
	right := 0
	for _, c := range []struct {
		stdin string
		args  []string
	}{
		{"", []string{"endpoints", "create", r.hooks.URL + "/cli", "--tenant", "acme", "--dialect", "standard", "--secret-file", other}},
		{"", []string{"endpoints", "list", "--tenant", "acme"}}, {"", []string{"endpoints", "get", "own", "--tenant", "acme", "--json"}},
		{"", []string{"tenants", "get", "acme", "--json"}}, {"", []string{"keys", "list", "--json"}}, {"", []string{"events", "list", "--tenant", "acme"}},
		{"", []string{"deliveries", "list", "--tenant", "acme", "--json"}}, {"", []string{"health", "--ready"}}, {"", []string{"nodes"}},
		{"{}", []string{"sign", "--secret-file", secret, "--id", "1", "--curl", r.hooks.URL}}, {"{}", []string{"sign", "--secret-file", other, "--id", "1"}},
		{request, []string{"verify", "--secret-file", secret, "--explain"}}, {request, []string{"verify", "--secret-file", other}},
		{"", []string{"send", "order.update", "--tenant", "acme", "-d", `{"id":1}`, "--wait=1s"}}, {"", []string{"config", "show", "--origin"}},
		{"", []string{"endpoints", "list", "--tenant", "acme", "--key-file", other}},
	} {
		if _, ok := r.exec(false, c.stdin, nil, c.args...); ok {
			right++
		}
	}
	if right < 10 {
		r.t.Errorf("%d commands ended well", right)
	}
}

// program builds Grapnel as it is shipped.
func buildProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "grapnel")
	build := exec.Command("go", "build", "-o", path, "grapnel/cmd/grapnel")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// guarded are settings of a server with a certificate of its own and a proxy that is not
// there.
func (r *canaryRun) guarded() []string {
	r.t.Helper()
	from, to := valid()
	ca := newAuthority(r.t)
	cert, key := ca.leaf(1, from, to)
	r.scheme, r.roots = "https", ca.pool()
	block, _ := pem.Decode(key)
	r.mark("the key of the certificate", string(block.Bytes[36:60])) // of the private part
	return []string{"--tls-cert", r.file("cert.pem", string(cert)), "--tls-key", r.file("tls.pem.key", string(key)),
		"--egress-proxy", "http://127.0.0.1:1", "--egress-proxy-auth-file", r.file("proxy.txt", "u:"+r.secret("the proxy's password", 0))}
}

// searchDatabase looks through every row of every table.
func (r *canaryRun) searchDatabase(url string) {
	r.t.Helper()
	ctx := r.t.Context()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close(ctx)
	rows, err := c.Query(ctx, `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		r.t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		r.t.Fatal(err)
	}
	for _, table := range tables {
		rows, err := c.Query(ctx, "SELECT t::text FROM "+table+" t")
		if err != nil {
			r.t.Fatal(err)
		}
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			r.t.Fatal(err)
		}
		r.search("database "+table, []byte(strings.Join(all, "\n")), false)
	}
}

// case 104, case 105, case 106: no secret that an installation holds is in anything that
// it emits or stores, on either engine. The run ends with a kill, a dump of all goroutines,
// backups, other keys, and a move into a database.
func TestCanaries(t *testing.T) {
	eithertest.OnlySQLite(t, "it runs on both engines by itself")
	t.Parallel()
	program := buildProgram(t)
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		r := newCanaryRun(t, program)
		data := filepath.Join(r.home, "data")
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		old, now := r.key("the secret key"), r.key("the next secret key")
		keys := r.file("data/secret.key", old)
		stop := r.serve("--data", data)
		r.configure()
		r.story()
		backup := filepath.Join(r.home, "b.tar")
		r.run("", nil, "db", "backup", "--to", backup, "--without-key")
		r.searchFolder("files", data) // with what is in the write-ahead log
		stop(syscall.SIGQUIT)         // ends with a dump of all goroutines
		r.searchFolder("files", data)
		r.file("data/secret.key", now+old)
		for _, args := range [][]string{
			{"db", "check", data}, {"db", "reseal", "--data", data}, {"db", "check", backup}, {"db", "restore", backup, "--data", filepath.Join(r.home, "restored")},
			{"doctor", "--data", data, "--lookup", "localhost"}, {"db", "stats", "--data", data}, {"db", "backup", "--data", data, "--to", filepath.Join(r.home, "c.tar"), "--without-key"},
		} {
			r.run("", nil, args...)
		}
		r.file("data/secret.key", r.key("a wrong secret key"))
		r.run("", nil, "serve", "--listen", "127.0.0.1:0", "--data", data)
		r.run("", nil, "db", "check", data)
		r.file("data/secret.key", strings.Repeat(r.secret("a secret key that is none", 0)+"\n", 3))
		r.run("", nil, "serve", "--listen", "127.0.0.1:0", "--data", data)
		r.file("data/secret.key", now)
		stop = r.serve(append(r.guarded(), "--data", data)...)
		r.api("POST", "/v1/tenants/acme/events", r.ids["publisher"], `{"type":"order.update","data":{"x":1}}`, false)
		await(t, "attempts by way of the proxy", func() bool { return strings.Contains(r.log.String(), `"msg":"attempt"`) })
		stop(syscall.SIGTERM)
		database := pgtest.Database(t)
		r.run("", []string{"GRAPNEL_STORE=" + database}, "db", "move", "--data", data)
		r.searchDatabase(database)
		if err := os.Remove(keys); err != nil {
			t.Fatal(err)
		}
		r.searchFolder("files", filepath.Join(r.home, "tmp"))
		r.searchFolder("files", data)
		r.searchFolder("files", filepath.Join(r.home, "restored"))
		for _, tar := range []string{"b.tar", "c.tar"} {
			text, err := os.ReadFile(filepath.Join(r.home, tar))
			if err != nil {
				t.Fatal(err)
			}
			r.search("backup "+tar, text, false)
		}
		r.report("wire", "traces", "log", "metrics", "api", "cli", "files", "backup", "database")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		r := newCanaryRun(t, program)
		plain := pgtest.Database(t)
		u, err := url.Parse(plain)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(u.User.Username(), r.secret("the database's password", 0))
		r.env = append(r.env, "GRAPNEL_STORE="+u.String(), "GRAPNEL_SECRET_KEY="+strings.TrimSpace(r.key("the secret key")), "PGPASSWORD="+r.secret("the database's password in its own variable", 0))
		stop := r.serve("--public-url", "https://hooks.example")
		r.configure()
		r.story()
		r.searchDatabase(plain)
		stop(syscall.SIGKILL)
		stop = r.serve("--public-url", "https://hooks.example")
		for _, args := range [][]string{{"doctor", "--lookup", "localhost"}, {"db", "check"}, {"db", "stats"}, {"db", "reseal", "--dry-run"}, {"config", "show"}, {"db", "backup", "--to", "no.tar"}} {
			r.run("", nil, args...)
		}
		r.run("", []string{"GRAPNEL_STORE=postgres://u:" + r.secret("the password of a database that is not there", 0) + "@127.0.0.1:1/none"}, "doctor", "--lookup", "localhost", "--timeout", "1s")
		r.run("", []string{"GRAPNEL_STORE=postgres://u:" + r.secret("a password in a URL that is none", 0) + "@[:bad/none"}, "serve")
		r.run("", []string{"GRAPNEL_EGRESS_PROXY=http://u:" + r.secret("a password in the proxy's URL", 0) + "@127.0.0.1:1"}, "config", "show", "--origin")
		stop(syscall.SIGQUIT)
		r.searchDatabase(plain)
		r.report("wire", "traces", "log", "metrics", "api", "cli", "database")
	})
}
