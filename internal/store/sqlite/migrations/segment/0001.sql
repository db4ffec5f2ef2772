-- id and tail are the event's id: EventID.Seq and EventID.Tail. number is that of
-- its first delivery. targets: see codec.go.
CREATE TABLE events (
  id INTEGER PRIMARY KEY,
  tail INTEGER NOT NULL,
  tenant INTEGER NOT NULL,
  type TEXT NOT NULL,
  number INTEGER NOT NULL,
  targets BLOB NOT NULL,
  key TEXT,
  fingerprint BLOB,
  time INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  data BLOB NOT NULL,
  previous BLOB,
  metadata BLOB
) STRICT;

-- id is the delivery's number * 65536 + the attempt's number. detail: see codec.go.
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY,
  event INTEGER NOT NULL,
  endpoint INTEGER NOT NULL,
  at INTEGER NOT NULL,
  state INTEGER NOT NULL,
  status INTEGER NOT NULL,
  class TEXT NOT NULL,
  detail BLOB NOT NULL
) STRICT;

-- Only deliveries that were not simply delivered at their first attempt.
CREATE TABLE deliveries (
  number INTEGER PRIMARY KEY,
  event INTEGER NOT NULL,
  endpoint INTEGER NOT NULL,
  tenant INTEGER NOT NULL,
  state INTEGER NOT NULL,
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  base INTEGER NOT NULL,
  manual INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  next_at INTEGER NOT NULL
) STRICT;
CREATE INDEX pending ON deliveries (endpoint, next_at) WHERE state = 1;
CREATE INDEX stopped_endpoint ON deliveries (endpoint, number) WHERE state IN (2, 4);
CREATE INDEX stopped_tenant ON deliveries (tenant, number) WHERE state IN (2, 4);

-- Bodies that were sent and have to be sent again.
CREATE TABLE bodies (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

-- Requests that carried an Idempotency-Key.
CREATE TABLE requests (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  answer BLOB
) STRICT;

-- One row for each commit with events or requests, to rebuild the memory from:
-- see codec.go. Emptied by the seal.
CREATE TABLE ix (id INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;

-- Filled by the seal. entries: up to 128 deliveries, events, or hashes of keys with
-- their events or requests, from first on; see codec.go. One row for each would cost more than the rest of the seal.
CREATE TABLE by_endpoint (endpoint INTEGER, first INTEGER, entries BLOB NOT NULL, PRIMARY KEY (endpoint, first)) STRICT, WITHOUT ROWID;
CREATE TABLE by_tenant (tenant INTEGER, first INTEGER, entries BLOB NOT NULL, PRIMARY KEY (tenant, first)) STRICT, WITHOUT ROWID;
CREATE TABLE idem (first INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;
CREATE TABLE idem_requests (first INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;
CREATE TABLE filters (name TEXT PRIMARY KEY, bits BLOB NOT NULL) STRICT;

-- commits: number of committed transactions. sealed: 1 when the tables above are
-- complete. Then also events, deliveries, last_event, last_request.
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('commits', 0), ('sealed', 0);
