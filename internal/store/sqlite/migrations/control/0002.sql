-- Replays: as the other things that people configure. finished: when it ended, 0
-- while it runs.
CREATE TABLE replays (
  id TEXT PRIMARY KEY,
  rev INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  finished INTEGER NOT NULL,
  doc TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replays_rev ON replays (rev);

-- Requests that carried an Idempotency-Key and changed the configuration.
CREATE TABLE requests (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  at INTEGER NOT NULL,
  fingerprint BLOB NOT NULL,
  answer BLOB,
  PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_at ON requests (at);
