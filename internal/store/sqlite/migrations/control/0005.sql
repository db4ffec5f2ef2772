-- Who changed what, and when. doc: hook.AuditEntry. tenant: 0 where it is of no
-- tenant, or of several. Rows are only inserted, and removed once they are old.
CREATE TABLE audit (
  num INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  tenant INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT;
CREATE INDEX audit_tenant ON audit (tenant, num);
CREATE INDEX audit_at ON audit (at);
CREATE TRIGGER audit_kept BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'entries of the audit log are never changed'); END;
