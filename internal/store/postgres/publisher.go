package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// PublisherSQL is the SQL, one statement in each string, that makes a role which may call
// grapnel.publish and do nothing else with what is Grapnel's. Where tenants are named, it may
// publish for these alone. existing says that the role is there already and is only given
// these rights. Whoever runs it owns the schema and may make roles.
//
// The role is bound to its tenants before it may do anything, so that there is no moment
// in which it could publish for others, even where the statements are no transaction.
func PublisherSQL(role string, tenants []string, existing bool) []string {
	var out []string
	name := pgx.Identifier{role}.Sanitize()
	for _, tenant := range tenants {
		out = append(out, fmt.Sprintf("INSERT INTO grapnel.publishers (role, tenant) VALUES (%s, %s) ON CONFLICT DO NOTHING", literal(role), literal(tenant)))
	}
	if !existing {
		out = append(out, "CREATE ROLE "+name+" LOGIN")
	}
	return append(out,
		"GRANT USAGE ON SCHEMA grapnel TO "+name,
		"GRANT EXECUTE ON FUNCTION grapnel.publish TO "+name)
}

// literal writes a string in SQL so that it means the same whatever a session has set.
func literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
