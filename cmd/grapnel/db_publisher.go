package main

import (
	"strings"

	"grapnel/internal/hook"
	"grapnel/internal/serve/offline"
)

// roleLength is the length in bytes that PostgreSQL cuts names to.
const roleLength = 63

type dbPublisherRoleCmd struct {
	Role     string   `arg:"" help:"The role's name in PostgreSQL."`
	Tenant   []string `placeholder:"TENANTS" help:"Let it publish for these tenants alone; several separated by commas."`
	Existing bool     `help:"The role is there already: only give it the rights."`
}

// Help gives examples.
func (*dbPublisherRoleCmd) Help() string {
	return `Prints the SQL that makes a role for an application that publishes inside its own transactions:
it may call grapnel.publish, and read, write and lock nothing of Grapnel's. Nothing is done
to a database. Run what is printed as the role that Grapnel uses there, or as a superuser, in the
database that --store of the servers names. The role gets no password: set one with \password in psql.

Examples:

    grapnel db publisher-role shop
    grapnel db publisher-role shop --tenant acme,globex > role.sql
    grapnel db publisher-role shop --existing --json`
}

// publisherRole is what the command tells as JSON.
type publisherRole struct {
	Role    string   `json:"role"`
	Tenants []string `json:"tenants"` // empty: all
	SQL     string   `json:"sql"`
}

// Run prints.
func (c *dbPublisherRoleCmd) Run(p *program) error {
	if c.Role == "" || len(c.Role) > roleLength || strings.ContainsRune(c.Role, 0) {
		return fail(exitUsage, "name it with 1 to 63 bytes", "PostgreSQL cannot have a role named %q", c.Role)
	}
	for _, tenant := range c.Tenant {
		if err := hook.ValidTenantID(tenant); err != nil {
			return fail(exitUsage, "name tenants as the API knows them: grapnel tenants list", "%q is no tenant: %w", tenant, err)
		}
	}
	var sql strings.Builder
	sql.WriteString("BEGIN;\n")
	for _, statement := range offline.PublisherSQL(c.Role, c.Tenant, c.Existing) {
		sql.WriteString(statement + ";\n")
	}
	sql.WriteString("COMMIT;\n")
	if p.JSON {
		return p.object(publisherRole{Role: c.Role, Tenants: append([]string{}, c.Tenant...), SQL: sql.String()})
	}
	return p.printf("%s", sql.String())
}
