package grapnel_test

import (
	"go/ast"
	"go/types"
	"maps"
	"slices"
	"strings"
	"testing"
)

// tenantless are the store's interfaces, and calls of them, that need not name a
// tenant, and why.
var tenantless = map[string]string{
	"Configurator":     "stores and gives records that name their tenant",
	"Loader":           "as Configurator",
	"Log":              "takes in events and keys that name their tenant",
	"Leaser":           "of partitions, which belong to no tenant",
	"Cluster":          "of servers",
	"Listener":         "of hints, which say nothing",
	"Follower":         "dispatch's way along the whole log",
	"Redeliverer":      "dispatch is told what to send, by partition",
	"CancelSharer":     "dispatch is told what to cancel: who asks has chosen by tenant",
	"ReplaySharer":     "replays name their tenant",
	"Networked":        "counts",
	"Backuper":         "of the whole store",
	"Source":           "of the whole store, to move it",
	"Upkeeper":         "of the whole store",
	"Store.Close":      "of the whole store",
	"Inbox.Rule":       "what the database checks, for all",
	"Inbox.Waiting":    "ingest takes in what names its tenant",
	"Inbox.Backlog":    "counts",
	"Inbox.Untold":     "upkeep tells each tenant of its own",
	"Inbox.Told":       "as Untold",
	"Queue.Lanes":      "dispatch sends for all tenants, for endpoints that it holds a lease on",
	"Queue.Fresh":      "as Lanes",
	"Queue.Retries":    "as Lanes",
	"Queue.Pending":    "as Lanes",
	"Queue.Record":     "as Lanes",
	"Queue.Checkpoint": "as Lanes",
}

// allTenants are the places of the program that ask about all tenants, and why they may.
var allTenants = map[string]string{
	"internal/api listAudit":        "the route without a tenant needs the scope admin",
	"internal/manage ForgetReplays": "upkeep",
	"internal/manage Start":         "goes on with what was running",
}

// case 94: a call of the store that shows or changes what a tenant has names the
// tenant, or is listed with the reason why not.
func TestStoreIsAskedByTenant(t *testing.T) {
	t.Parallel()
	files, at := sources(t)
	structs := map[string]bool{} // with a field Tenant
	for _, f := range files["internal/store"] {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.TypeSpec); ok {
				if st, ok := s.Type.(*ast.StructType); ok {
					for _, field := range st.Fields.List {
						for _, name := range field.Names {
							structs[s.Name.Name] = structs[s.Name.Name] || name.Name == "Tenant"
						}
					}
				}
			}
			return true
		})
	}
	left := map[string]bool{}
	for name := range tenantless {
		left[name] = true
	}
	seen := 0
	for _, f := range files["internal/store"] {
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			it, ok := s.Type.(*ast.InterfaceType)
			if !ok || !s.Name.IsExported() {
				return true
			}
			for _, m := range it.Methods.List {
				fn, ok := m.Type.(*ast.FuncType)
				if !ok || len(m.Names) == 0 {
					continue
				}
				name := s.Name.Name + "." + m.Names[0].Name
				named := false
				for _, field := range fn.Params.List {
					text := types.ExprString(field.Type)
					named = named || strings.Contains(text, "TenantNum") || structs[strings.TrimPrefix(text, "*")]
				}
				seen++
				if named {
					continue
				}
				delete(left, s.Name.Name)
				if delete(left, name); tenantless[name] == "" && tenantless[s.Name.Name] == "" {
					t.Errorf("%s: %s names no tenant: give it one, or list it with the reason", at.Position(m.Pos()), name)
				}
			}
			return true
		})
	}
	if seen < 10 {
		t.Errorf("only %d calls were looked at", seen)
	}
	for name := range left {
		t.Errorf("%s is listed, and is not there, or names a tenant", name)
	}
}

// case 94: what asks about all tenants at once is listed.
func TestAllTenantsAreAskedAboutKnowingly(t *testing.T) {
	t.Parallel()
	files, at := sources(t)
	left := maps.Clone(allTenants)
	for dir, list := range files {
		if dir == "internal/store" || strings.HasPrefix(dir, "internal/store/") || slices.Contains(instruments, dir) {
			continue
		}
		for _, f := range list {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				ast.Inspect(fn, func(n ast.Node) bool {
					s, ok := n.(*ast.SelectorExpr)
					if !ok || s.Sel.Name != "AllTenants" {
						return true
					}
					name := dir + " " + fn.Name.Name
					if delete(left, name); allTenants[name] == "" {
						t.Errorf("%s: %s asks about all tenants: ask about one, or list it with the reason", at.Position(n.Pos()), name)
					}
					return true
				})
			}
		}
	}
	for name := range left {
		t.Errorf("%s is listed, and does not ask any more", name)
	}
}
