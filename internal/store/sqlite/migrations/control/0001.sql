-- What people configure: doc is the record as JSON, the columns beside it are
-- what has to be unique or found.
CREATE TABLE tenants (
  num INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  rev INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX tenants_id ON tenants (id) WHERE deleted = 0;
CREATE INDEX tenants_rev ON tenants (rev);

CREATE TABLE endpoints (
  num INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  rev INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX endpoints_id ON endpoints (id) WHERE deleted = 0;
CREATE INDEX endpoints_rev ON endpoints (rev);

CREATE TABLE types (
  name TEXT PRIMARY KEY,
  rev INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX types_rev ON types (rev);

CREATE TABLE keys (
  id TEXT PRIMARY KEY,
  hash BLOB NOT NULL,
  rev INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX keys_hash ON keys (hash) WHERE deleted = 0;
CREATE INDEX keys_rev ON keys (rev);

-- revision: of the configuration. next_tenant, next_endpoint: numbers to give.
-- starts: how often the store was opened, the lease token. last_event, next_number:
-- at least these, whatever segments are left. floor: progress. expired: deliveries
-- that ended by retention.
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES
  ('revision', 0), ('next_tenant', 1), ('next_endpoint', 1), ('starts', 0),
  ('last_event', 0), ('last_tail', 0), ('next_number', 1),
  ('floor', 0), ('floor_tail', 0), ('expired', 0);

-- The key of the hashes that stand for idempotency keys.
CREATE TABLE seed (one INTEGER PRIMARY KEY CHECK (one = 1), seed BLOB NOT NULL) STRICT;
INSERT INTO seed VALUES (1, randomblob(32));

-- Lanes that are behind the floor, each with the event that it is at.
CREATE TABLE lanes (endpoint INTEGER PRIMARY KEY, event INTEGER NOT NULL, tail INTEGER NOT NULL) STRICT;

-- Deliveries that ended by retention, by endpoint.
CREATE TABLE expired (endpoint INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;

-- Segments that retention has counted and whose files are to go.
CREATE TABLE removed (first INTEGER PRIMARY KEY) STRICT;
