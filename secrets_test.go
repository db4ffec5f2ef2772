package grapnel_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sources are the files of the program, parsed, by folder: no tests and nothing of other
// programs.
func sources(t *testing.T) (files map[string][]*ast.File, positions *token.FileSet) {
	t.Helper()
	files, positions = map[string][]*ast.File{}, token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == "test" || name == "tools" || strings.HasPrefix(d.Name(), ".") && name != ".") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(positions, name, nil, parser.SkipObjectResolution)
		if err == nil {
			dir := path.Dir(filepath.ToSlash(name))
			files[dir] = append(files[dir], f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, positions
}

// secretName says of a value that whoever can guess at it byte by byte has something.
var secretName = regexp.MustCompile(`(?i)(secret|signature|\bsig\b|^mac$|hmac|password|passwd|apikey|adminkey|\btoken$|credential|bearer)`)

// notSecret are comparisons of what is called so and is none, with the reason.
var notSecret = map[string]string{
	"d.SecretOwner() != s.Owner":                  "whose a contract's secrets are",
	"e.Field == \"/\" + secretKey":                "the name of a field",
	"maps.Equal(a.Secrets, b.Secrets)":            "what is sealed: equal texts are the same record",
	"maps.Equal(t.SecretMarks, old.SecretMarks)":  "marks of the stored record with its own",
	"n.GetToken().Type != token.ImplicitNullType": "a token of a YAML reader",
	"o.SecretOwner() != d.SecretOwner()":          "whose a contract's secrets are",
	"o.SecretUnique() != d.SecretUnique()":        "whether a contract's secrets are unique",
	"slices.Equal(a.Secrets, b.Secrets)":          "what is sealed: equal texts are the same record",
	"token != s.token":                            "the token of a lease: a number that counts up, and no credential",
	"v.Token.Type == token.StringType":            "a token of a YAML reader",
}

// named are the names in an expression, those of what is called or indexed included.
func named(e ast.Expr) (names []string) {
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			names = append(names, n.Sel.Name)
		case *ast.Ident:
			names = append(names, n.Name)
		}
		return true
	})
	return names
}

// known reports whether an operand says at once that time tells nothing: nothing,
// a length, or one of the program's constants.
func known(e ast.Expr, fixed map[string]bool) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil" || fixed[e.Name]
	case *ast.SelectorExpr:
		_, of := e.X.(*ast.Ident)
		return of && e.Sel.IsExported() && fixed[e.Sel.Name]
	case *ast.ParenExpr:
		return known(e.X, fixed)
	case *ast.BinaryExpr: // what is compared is whether two others are
		return (e.Op == token.EQL || e.Op == token.NEQ) && (known(e.X, fixed) || known(e.Y, fixed))
	case *ast.CallExpr:
		f, ok := e.Fun.(*ast.Ident)
		return ok && f.Name == "len"
	}
	return false
}

// case 109: no secret and no signature is compared by anything that ends at the first
// difference: subtle.ConstantTimeCompare and hmac.Equal alone.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	t.Parallel()
	files, at := sources(t)
	seen, fixed := map[string]bool{}, map[string]bool{}
	for _, list := range files {
		maps.Copy(fixed, constants(list))
	}
	check := func(n ast.Node, operands ...ast.Expr) {
		if slices.ContainsFunc(operands, func(e ast.Expr) bool { return known(e, fixed) }) {
			return
		}
		for _, e := range operands {
			if slices.ContainsFunc(named(e), secretName.MatchString) {
				text := types.ExprString(n.(ast.Expr))
				seen[text] = true
				if notSecret[text] == "" {
					t.Errorf("%s: %s may compare a secret and ends at the first difference: use hmac.Equal, or list it with the reason", at.Position(n.Pos()), text)
				}
				return
			}
		}
	}
	for _, list := range files {
		for _, f := range list {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BinaryExpr:
					if n.Op == token.EQL || n.Op == token.NEQ {
						check(n, n.X, n.Y)
					}
				case *ast.CallExpr:
					if f, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) == 2 {
						switch types.ExprString(f) {
						case "bytes.Equal", "bytes.Compare", "strings.EqualFold", "bytes.EqualFold", "strings.Compare", "slices.Equal", "slices.Contains", "reflect.DeepEqual", "maps.Equal", "slices.Index":
							check(n, n.Args...)
						}
					}
				}
				return true
			})
		}
	}
	for _, text := range slices.Sorted(maps.Keys(notSecret)) {
		if !seen[text] {
			t.Errorf("%s is listed and is nowhere", text)
		}
	}
}

// sqlText is how a piece of SQL begins or goes on.
var sqlText = regexp.MustCompile(`\b(SELECT|INSERT INTO|INSERT OR|UPDATE [a-z]|DELETE|CREATE|DROP|ALTER|LISTEN|NOTIFY|PRAGMA|COPY|WHERE|FROM|ORDER BY|LIMIT|VALUES|GRANT|REVOKE)\b`)

// sqlPieces are what SQL is put together from besides constants, with the reason why
// nothing of a caller's can be in it.
var sqlPieces = map[string]string{
	"postgres: b.order()":                            "one of two texts",
	"postgres: column":                               "tenant or endpoint",
	"postgres: columns":                              "columns of the engine's own tables",
	"postgres: from":                                 "made above it, of texts and column",
	"postgres: importOrders[table]":                  "a constant text",
	"postgres: l.order()":                            "one of two texts",
	"postgres: list":                                 "one of the engine's own tables",
	"postgres: literal(role)":                        "escaped; it is printed for an administrator, and not run",
	"postgres: literal(tenant)":                      "escaped, as the role is",
	"postgres: name":                                 "escaped by pgx.Identifier, as the role is",
	"postgres: order":                                "one of two texts",
	"postgres: page":                                 "a number",
	"postgres: page + forgetPages":                   "a number",
	"postgres: sql":                                  "texts of the same function; of a migration, a file of the program",
	"postgres: string(table)":                        "one of the engine's own tables",
	"postgres: table":                                "one of the engine's own tables",
	"postgres: table(\"attempts\")":                  "one of the engine's own tables",
	"postgres: table(\"deliveries\")":                "one of the engine's own tables",
	"postgres: table(\"events\")":                    "one of the engine's own tables",
	"postgres: u.gone(\"events\")":                   "one of the engine's own tables",
	"postgres: u.table":                              "one of the engine's own tables",
	"postgres: u.table(\"attempts\")":                "one of the engine's own tables",
	"postgres: u.table(\"events\")":                  "one of the engine's own tables",
	"postgres: u.table(string(table))":               "one of the engine's own tables",
	"postgres: which":                                "a constant text of the caller, with placeholders",
	"propstack: path":                                "no SQL, but a route of HTTP",
	"sqlite: column":                                 "tenant or endpoint",
	"sqlite: in.insert":                              "a constant text",
	"sqlite: k.app":                                  "a constant",
	"sqlite: r.cache":                                "a number",
	"sqlite: r.checkpoint":                           "a number",
	"sqlite: r.readOnly":                             "true or false",
	"sqlite: row":                                    "question marks",
	"sqlite: sql":                                    "one of two texts, by the order of the list",
	"sqlite: st.sql":                                 "a migration, which is a file of the program",
	"sqlite: st.version":                             "a number",
	"sqlite: strings.Repeat(row + \", \", rows - 1)": "question marks",
}

// pieces are the parts of a text that is put together by + or by fmt.Sprintf.
func pieces(e ast.Expr) []ast.Expr {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return pieces(e.X)
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return append(pieces(e.X), pieces(e.Y)...)
		}
	case *ast.CallExpr:
		if f := types.ExprString(e.Fun); f == "fmt.Sprintf" || f == "fmt.Fprintf" {
			return e.Args
		}
	}
	return []ast.Expr{e}
}

// constants are the names of the package's constants.
func constants(files []*ast.File) map[string]bool {
	names := map[string]bool{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST {
				for _, s := range d.Specs {
					for _, name := range s.(*ast.ValueSpec).Names {
						names[name.Name] = true
					}
				}
			}
			return true
		})
	}
	return names
}

// case 111: SQL is made of the program's own text and placeholders. Every other piece of
// it is listed, with the reason why no caller has a say in it.
func TestSQLHoldsNothingOfCallers(t *testing.T) {
	t.Parallel()
	files, at := sources(t)
	seen, statements := map[string]bool{}, 0
	for dir, list := range files {
		if !strings.HasPrefix(dir, "internal") && !strings.HasPrefix(dir, "cmd") || strings.HasPrefix(dir, "internal/store/postgres/pg") || strings.HasPrefix(dir, "internal/crash") || strings.HasPrefix(dir, "internal/pgproxy") {
			continue
		}
		fixed := constants(list)
		for _, f := range list {
			ast.Inspect(f, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				parts := pieces(e)
				if len(parts) < 2 || !slices.ContainsFunc(parts, func(p ast.Expr) bool {
					l, ok := p.(*ast.BasicLit)
					return ok && l.Kind == token.STRING && sqlText.MatchString(l.Value)
				}) {
					return true
				}
				statements++
				for _, p := range parts {
					if _, literal := p.(*ast.BasicLit); literal {
						continue
					}
					if id, ok := p.(*ast.Ident); ok && fixed[id.Name] {
						continue
					}
					text := path.Base(dir) + ": " + types.ExprString(p)
					seen[text] = true
					if sqlPieces[text] == "" {
						t.Errorf("%s: %q becomes part of SQL: use a placeholder, or list it with the reason why nobody has a say in it", at.Position(p.Pos()), text)
					}
				}
				return false
			})
		}
	}
	for _, text := range slices.Sorted(maps.Keys(sqlPieces)) {
		if !seen[text] {
			t.Errorf("%s is listed and is nowhere", text)
		}
	}
	if statements < 20 {
		t.Errorf("only %d statements that are put together: this shows nothing", statements)
	}
}

// heldName says of a field that what it holds may be a secret.
var heldName = regexp.MustCompile(`(?i)(secret|key|token|password|credential|auth)`)

// held are fields of plain types that are called like secrets, by package and type, with
// the reason why they may be.
var held = map[string]string{
	"auth Links.Secrets":                        "in the configuration of a part, which is never printed",
	"api Config.CursorKeys":                     "in the configuration of a part, which is never printed",
	"api Config.KeyFile":                        "the path of a file",
	"api actorShape.Key":                        "names a record, an event or a request; no credential",
	"api createdEndpoint.Secret":                "in an answer that tells it this once",
	"api createdLink.Token":                     "in an answer that tells it this once",
	"api createdKey.Key":                        "in an answer that tells it this once",
	"api endpointInput.Secret":                  "in a request that is read, and made a hook.Secret of at once",
	"api eventShape.Key":                        "names a record, an event or a request; no credential",
	"api importInput.Key":                       "in a request that is read, and made a hook.Secret of at once",
	"api importInput.Secret":                    "in a request that is read, and made a hook.Secret of at once",
	"api keyInput.Key":                          "in a request that is read, and made a hook.Secret of at once",
	"api liveHello.Secret":                      "told to who listens, for whom it was made",
	"api rotateInput.Secret":                    "in a request that is read, and made a hook.Secret of at once",
	"api secretShape.PublicKey":                 "a public key",
	"api tenantInput.Secret":                    "in a request that is read, and made a hook.Secret of at once",
	"api tenantShape.Secret":                    "in an answer that tells it this once",
	"auth/callers pair.keyID":                   "names a record, an event or a request; no credential",
	"client AuditActor.Key":                     "names a record, an event or a request; no credential",
	"client Client.key":                         "the caller's own key, in a field that fmt never gets to",
	"client Config.Key":                         "of the public API, whose callers want the text",
	"client Endpoint.Secret":                    "of the public API, whose callers want the text",
	"client EndpointInput.Secret":               "of the public API, whose callers want the text",
	"client EndpointSecret.PublicKey":           "a public key",
	"client EventInfo.Key":                      "names a record, an event or a request; no credential",
	"client Hello.Secret":                       "of the public API, whose callers want the text",
	"client ImportRecord.Key":                   "of the public API, whose callers want the text",
	"client ImportRecord.Secret":                "of the public API, whose callers want the text",
	"client PortalLink.Token":                   "of the public API, whose callers want the text",
	"client Key.Key":                            "of the public API, whose callers want the text",
	"client KeyInput.Key":                       "of the public API, whose callers want the text",
	"client Rotation.Secret":                    "of the public API, whose callers want the text",
	"client Tenant.Secret":                      "of the public API, whose callers want the text",
	"client TenantInput.Secret":                 "of the public API, whose callers want the text",
	"config Config.AdminKey":                    "of the settings, which hide themselves as a whole",
	"config Config.AdminKeyFile":                "the path of a file",
	"config Config.EgressProxyAuthFile":         "the path of a file",
	"config Config.ProxyAuth":                   "of the settings, which hide themselves as a whole",
	"config Config.SecretKey":                   "of the settings, which hide themselves as a whole",
	"config Config.SecretKeyFile":               "the path of a file",
	"config Config.TLSKey":                      "the path of a file",
	"crash world.key":                           "of an instrument that plays a server or its operator with secrets of its own",
	"crash world.secret":                        "of an instrument that plays a server or its operator with secrets of its own",
	"crash/standin entry.Key":                   "of an instrument that plays a server or its operator with secrets of its own",
	"crash/standin entry.Secret":                "of an instrument that plays a server or its operator with secrets of its own",
	"dialect namedMember.key":                   "names a record, an event or a request; no credential",
	"dialect pair.key":                          "names a record, an event or a request; no credential",
	"dialect/customers1st config.Key":           "the name of a setting",
	"dialect/explain Fit.Secret":                "which of the given secrets fits, by its name",
	"dialect/propstack hookInput.SecretKey":     "in a request that is read, and made a hook.Secret of at once",
	"dialect/sixpark attributes.SignatureToken": "in an answer of the vendor's contract, which shows it",
	"dispatch line.key":                         "names a record, an event or a request; no credential",
	"egress Config.ProxyAuth":                   "in the configuration of a part, which is never printed",
	"hook Actor.KeyID":                          "names a record, an event or a request; no credential",
	"hook Actor.KeyName":                        "names a record, an event or a request; no credential",
	"hook Event.Key":                            "names a record, an event or a request; no credential",
	"hook Event.OrderingKey":                    "names a record, an event or a request; no credential",
	"hook Tenant.SecretMarks":                   "a MAC by which a tenant is found: without the key it tells nothing",
	"client EndpointAuth.Password":              "of the public API, whose callers want the text",
	"client EndpointAuth.Token":                 "of the public API, whose callers want the text",
	"client EndpointAuth.TokenURL":              "an address; no credential",
	"client EndpointAuth.ClientSecret":          "of the public API, whose callers want the text",
	"client EndpointAuth.ClientAuth":            "which way is used; no credential",
	"client EndpointTLS.Key":                    "in an answer, where it is always [secret]",
	"client TLSInput.Key":                       "of the public API, whose callers want the text",
	"client RevealedSecret.Secret":              "of the public API, whose callers want the text",
	"client RevealedSecret.PublicKey":           "a public key",
	"api authInput.Password":                    "in a request that is read, and made a hook.Secret of at once",
	"api authInput.Token":                       "in a request that is read, and made a hook.Secret of at once",
	"api authInput.TokenURL":                    "an address; no credential",
	"api authInput.ClientSecret":                "in a request that is read, and made a hook.Secret of at once",
	"api authInput.ClientAuth":                  "which way is used; no credential",
	"api authShape.Password":                    "in an answer, where it is always [secret]",
	"api authShape.Token":                       "in an answer, where it is always [secret]",
	"api authShape.TokenURL":                    "an address; no credential",
	"api authShape.ClientSecret":                "in an answer, where it is always [secret]",
	"api authShape.ClientAuth":                  "which way is used; no credential",
	"api tlsInput.Key":                          "in a request that is read, and made a hook.Secret of at once",
	"api tlsShape.Key":                          "in an answer, where it is always [secret]",
	"api revealedSecret.Secret":                 "in an answer that somebody asked for, which is noted",
	"api revealedSecret.PublicKey":              "a public key",
	"hook EndpointAuth.TokenURL":                "an address; no credential",
	"egress/oauth2 Client.TokenURL":             "an address; no credential",
	"manage AuthInput.TokenURL":                 "an address; no credential",
	"ingest Item.Key":                           "names a record, an event or a request; no credential",
	"ingest Item.OrderingKey":                   "names a record, an event or a request; no credential",
	"ingest Submission.Key":                     "names a record, an event or a request; no credential",
	"ledger API.Key":                            "of an instrument that plays a server or its operator with secrets of its own",
	"ledger Publish.Key":                        "of an instrument that plays a server or its operator with secrets of its own",
	"ledger Request.Key":                        "of an instrument that plays a server or its operator with secrets of its own",
	"ledger record.Key":                         "of an instrument that plays a server or its operator with secrets of its own",
	"live holder.key":                           "names a record, an event or a request; no credential",
	"manage Notice.Key":                         "names a record, an event or a request; no credential",
	"serve certificate.keyFile":                 "the path of a file",
	"serve/offline MovePlan.Key":                "in a plan that is never printed",
	"serve/offline MovePlan.KeyFile":            "the path of a file",
	"serve/offline Seals.Key":                   "names a record, an event or a request; no credential",
	"serve/trial Event.Key":                     "of an instrument that plays a server or its operator with secrets of its own",
	"serve/trial Event.Secret":                  "of an instrument that plays a server or its operator with secrets of its own",
	"serve/trial Event.VendorKey":               "of an instrument that plays a server or its operator with secrets of its own",
	"serve/trial endpoint.Secret":               "of an instrument that plays a server or its operator with secrets of its own",
	"serve/trial state.AdminKey":                "of an instrument that plays a server or its operator with secrets of its own",
	"serve/trial state.Secret":                  "of an instrument that plays a server or its operator with secrets of its own",
	"serve/trial state.VendorKey":               "of an instrument that plays a server or its operator with secrets of its own",
	"serve/trial trial.secret":                  "of an instrument that plays a server or its operator with secrets of its own",
	"store BackupQuery.KeyFile":                 "the path of a file",
	"store EventKey.Key":                        "names a record, an event or a request; no credential",
	"store RejectedQuery.Key":                   "names a record, an event or a request; no credential",
	"store RequestKey.Key":                      "names a record, an event or a request; no credential",
	"store Waiting.Key":                         "names a record, an event or a request; no credential",
	"store/postgres appendRows.keys":            "names a record, an event or a request; no credential",
	"store/postgres appendRows.requestKeys":     "names a record, an event or a request; no credential",
	"store/postgres eventRow.key":               "names a record, an event or a request; no credential",
}

// plainText reports whether a type shows what it holds: texts, bytes, and lists, maps and
// optional fields of them.
func plainText(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "string" || e.Name == "byte"
	case *ast.StarExpr:
		return plainText(e.X)
	case *ast.ArrayType:
		return plainText(e.Elt)
	case *ast.MapType:
		return plainText(e.Value)
	case *ast.IndexExpr:
		return plainText(e.Index)
	case *ast.SelectorExpr:
		return types.ExprString(e) == "json.RawMessage"
	}
	return false
}

// case 105: whatever holds a secret has a type that does not show it (hook.Secret, or
// hook.Sealed for one that is encrypted), or is listed with the reason.
func TestSecretsHaveRedactingTypes(t *testing.T) {
	t.Parallel()
	files, at := sources(t)
	seen := map[string]bool{}
	for dir, list := range files {
		if dir != "client" && dir != "verify" && !strings.HasPrefix(dir, "internal/") {
			continue
		}
		for _, f := range list {
			ast.Inspect(f, func(n ast.Node) bool {
				named, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				structure, ok := named.Type.(*ast.StructType)
				if !ok {
					return true
				}
				for _, field := range structure.Fields.List {
					for _, name := range field.Names {
						if !heldName.MatchString(name.Name) || !plainText(field.Type) {
							continue
						}
						text := strings.TrimPrefix(dir, "internal/") + " " + named.Name.Name + "." + name.Name
						seen[text] = true
						if held[text] == "" {
							t.Errorf("%s: %s holds what may be a secret in a type that shows it: use hook.Secret, or list it with the reason", at.Position(name.Pos()), text)
						}
					}
				}
				return true
			})
		}
	}
	for _, text := range slices.Sorted(maps.Keys(held)) {
		if !seen[text] {
			t.Errorf("%s is listed and is nowhere", text)
		}
	}
}
