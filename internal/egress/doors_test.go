package egress_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayDial are the folders, from the module's root, whose code opens outbound
// connections: this package, the client of our own API and the commands that
// use it, and instruments.
var mayDial = []string{"internal/egress", "client", "cmd/grapnel", "bench",
	"internal/hostile", "internal/ledger", "internal/child", "internal/crash", "internal/pgproxy", "internal/testaid", "internal/vendortest", "internal/ssrf"}

// doors are the ways out that the standard library offers, by package.
// Types count where a value of them is made.
var doors = map[string][]string{
	"net": {
		"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialIP", "DialUnix", "Dialer", "Resolver", "DefaultResolver", "LookupHost", "LookupIP", "LookupAddr",
		"LookupCNAME", "LookupMX", "LookupNS", "LookupTXT", "LookupSRV", "LookupPort", "ResolveTCPAddr", "ResolveUDPAddr", "ResolveIPAddr",
		"ListenPacket", "ListenUDP", "ListenIP", "ListenUnixgram", "ListenMulticastUDP", "FileConn", "FilePacketConn", // they send to anybody
	},
	"net/http":   {"DefaultClient", "DefaultTransport", "Get", "Post", "PostForm", "Head", "Client", "Transport"},
	"crypto/tls": {"Dial", "DialWithDialer", "Dialer"},
	"syscall":    {"Connect", "Sendto", "Sendmsg", "SendmsgN", "Socket", "RawSyscall", "Syscall", "Syscall6"},

	"net/http/httputil":     {"ReverseProxy", "NewSingleHostReverseProxy", "NewClientConn", "NewProxyClientConn"},
	"golang.org/x/sys/unix": {"Connect", "Sendto", "Sendmsg", "SendmsgN", "Socket"},
}

// operatorsDoors are libraries that go where the operator's settings say and nobody else's
// word leads, by the one folder that may import them.
var operatorsDoors = map[string]string{
	"github.com/jackc/pgx":               "internal/store/postgres", // --store
	"go.opentelemetry.io/otel/exporters": "internal/telemetry",      // OTEL_EXPORTER_OTLP_ENDPOINT
}

// closedDoors are packages that exist to go out.
var closedDoors = []string{"net/smtp", "net/rpc", "net/rpc/jsonrpc", "log/syslog", "golang.org/x/net/websocket", "golang.org/x/net/proxy",
	"golang.org/x/net/http2", "google.golang.org/grpc", "github.com/prometheus/client_golang/api"}

// case 84: nobody else opens an outbound connection.
func TestOnlyOneDoor(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if slices.Contains(mayDial, rel) || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && rel != "." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		files++
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, where := range findDoors(t, rel, src) {
			t.Errorf("%s; what goes out goes through internal/egress", where)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 5 {
		t.Errorf("only %d files were looked at", files)
	}
}

// findDoors lists the ways out in a file.
func findDoors(t *testing.T, name string, src []byte) []string {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Logf("%s is not read: %v", name, err) // the compiler will say so, too
		return nil
	}
	var found []string
	report := func(pos token.Pos, what string) { found = append(found, fset.Position(pos).String()+": "+what) }
	packages := map[string]string{} // by the name they have in this file
	for _, imp := range file.Imports {
		path := strings.Trim(imp.Path.Value, "`\"")
		local := path[strings.LastIndexByte(path, '/')+1:]
		if imp.Name != nil {
			local = imp.Name.Name
		}
		packages[local] = path
		for library, folder := range operatorsDoors {
			if (path == library || strings.HasPrefix(path, library+"/")) && !strings.HasPrefix(name, folder+"/") {
				report(imp.Pos(), "import of "+path)
			}
		}
		if slices.Contains(closedDoors, path) || local == "." && doors[path] != nil {
			report(imp.Pos(), "import of "+path)
		}
	}
	mentions := map[ast.Node]bool{} // types that are only mentioned, as in a parameter
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.StarExpr:
			mentions[n.X] = true
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			if ok && !mentions[n] && slices.Contains(doors[packages[pkg.Name]], n.Sel.Name) {
				report(n.Pos(), pkg.Name+"."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}

// The watchman finds what it is there to find.
func TestFindDoors(t *testing.T) {
	t.Parallel()
	const head = "package p\nimport (\n\"net\"\nweb \"net/http\"\n\"crypto/tls\"\n)\nvar _ = net.IPv4len\nvar _ web.Handler\nvar _ tls.Config\n"
	for src, want := range map[string]int{
		"": 0, "func f(c *web.Client, l net.Listener) {}": 0, "var _, _ = net.Listen(\"tcp\", \"\")": 0,
		"var c = &web.Client{Timeout: 1}": 1, "var c web.Client": 1, "var c = new(web.Client)": 1, "var c = web.DefaultClient": 1, "var f = web.Get": 1,
		"var _, _ = net.Dial(\"tcp\", \"x\")": 1, "var d = net.Dialer{}": 1, "var d = (&net.Dialer{}).Dial": 1, "var t = web.DefaultTransport.(*web.Transport).Clone()": 1,
		"var _, _ = net.LookupHost(\"x\")": 1, "var r net.Resolver": 1, "var _, _ = tls.Dial(\"tcp\", \"x\", nil)": 1,
		"var _, _ = net.ListenPacket(\"udp\", \"\")": 1, "var _, _ = net.FileConn(nil)": 1,
	} {
		if got := findDoors(t, "x.go", []byte(head+src+"\n")); len(got) != want {
			t.Errorf("%s: %v, want %d", src, got, want)
		}
	}
	for _, src := range []string{"package p\nimport \"github.com/jackc/pgx/v5\"\n", "package p\nimport . \"net\"\n", "package p\nimport \"net/smtp\"\n"} {
		if len(findDoors(t, "x.go", []byte(src))) != 1 {
			t.Errorf("%q passes", src)
		}
	}
}
