-- What shapes bodies besides the records: the server's public URL, and the text of
-- each dialect file of the operator's.
CREATE TABLE pinned (
  name TEXT PRIMARY KEY,
  rev INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pinned_rev ON pinned (rev);
