-- All that Grapnel has is in this schema, and every name is written with it, for
-- behind a pooler no session has a search path of its own.
--
-- Times are nanoseconds since 1970 (0: none), ids of events are their Seq, states
-- and dispositions the numbers in internal/hook: as in the embedded store. Only
-- leases have timestamps, for they are held against this server's clock.

-- What people configure: doc is the record as JSON, the columns beside it are
-- what has to be unique or found.
CREATE TABLE grapnel.tenants (
  num bigint PRIMARY KEY,
  id text NOT NULL,
  rev bigint NOT NULL,
  deleted boolean NOT NULL,
  doc text NOT NULL
);
CREATE UNIQUE INDEX tenants_id ON grapnel.tenants (id) WHERE NOT deleted;
CREATE INDEX tenants_rev ON grapnel.tenants (rev);

-- An endpoint's id is unique among the live ones of its tenant alone, since callers
-- may choose it.
CREATE TABLE grapnel.endpoints (
  num bigint PRIMARY KEY,
  id text NOT NULL,
  tenant bigint NOT NULL,
  rev bigint NOT NULL,
  deleted boolean NOT NULL,
  doc text NOT NULL
);
CREATE UNIQUE INDEX endpoints_id ON grapnel.endpoints (tenant, id) WHERE NOT deleted;
CREATE INDEX endpoints_rev ON grapnel.endpoints (rev);

CREATE TABLE grapnel.types (
  name text PRIMARY KEY,
  rev bigint NOT NULL,
  deleted boolean NOT NULL,
  doc text NOT NULL
);
CREATE INDEX types_rev ON grapnel.types (rev);

CREATE TABLE grapnel.keys (
  id text PRIMARY KEY,
  hash bytea NOT NULL,
  rev bigint NOT NULL,
  deleted boolean NOT NULL,
  doc text NOT NULL
);
CREATE UNIQUE INDEX keys_hash ON grapnel.keys (hash) WHERE NOT deleted;
CREATE INDEX keys_rev ON grapnel.keys (rev);

-- finished: when it ended, 0 while it runs.
CREATE TABLE grapnel.replays (
  id text PRIMARY KEY,
  rev bigint NOT NULL,
  deleted boolean NOT NULL,
  finished bigint NOT NULL,
  doc text NOT NULL
);
CREATE INDEX replays_rev ON grapnel.replays (rev);
CREATE INDEX replays_running ON grapnel.replays (id) WHERE finished = 0 AND NOT deleted;

CREATE TABLE grapnel.pinned (
  name text PRIMARY KEY,
  rev bigint NOT NULL,
  doc text NOT NULL
);
CREATE INDEX pinned_rev ON grapnel.pinned (rev);

-- Who changed what, and when. doc: hook.AuditEntry. tenant: 0 where it is of no
-- tenant, or of several. num is given by Configure, whose calls take their turn. Rows
-- are only inserted, and removed once they are old.
CREATE TABLE grapnel.audit (
  num bigint PRIMARY KEY,
  at bigint NOT NULL,
  tenant bigint NOT NULL,
  doc text NOT NULL
);
CREATE INDEX audit_tenant ON grapnel.audit (tenant, num);
CREATE INDEX audit_at ON grapnel.audit (at);

-- Requests that carried an Idempotency-Key and changed the configuration.
CREATE TABLE grapnel.changes (
  scope text NOT NULL,
  key text NOT NULL,
  at bigint NOT NULL,
  fingerprint bytea NOT NULL,
  answer bytea,
  PRIMARY KEY (scope, key)
);
CREATE INDEX changes_scope ON grapnel.changes (scope, at);
CREATE INDEX changes_at ON grapnel.changes (at);

-- The revision of the configuration, with the numbers to give next. One row, which
-- Configure alone locks. A sequence would let readers meet a later revision before
-- an earlier one.
CREATE TABLE grapnel.revision (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  n bigint NOT NULL,
  next_tenant bigint NOT NULL,
  next_endpoint bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO grapnel.revision (n, next_tenant, next_endpoint) VALUES (0, 1, 1);

-- The end of the log: the id of the last event, the number of the next delivery, how
-- many events there are. One row, which every append locks, so that events
-- become visible in the order of their ids whichever node takes them in.
CREATE TABLE grapnel.head (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  last bigint NOT NULL,
  tail bigint NOT NULL,
  number bigint NOT NULL,
  events bigint NOT NULL,
  expired bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO grapnel.head (last, tail, number, events, expired) VALUES (0, 0, 1, 0, 0);

-- Who appends, and its last append: whoever lost the answer finds out here what
-- became of it. raised: by how much its events' ids were raised; number: that of its
-- first delivery. An append whose serial is not above this one is refused, so that
-- asking ends the question: what was not stored then never will be. at: when it was
-- last heard of. schema: the schema version that its program knows.
CREATE TABLE grapnel.appenders (
  appender text PRIMARY KEY,
  serial bigint NOT NULL,
  stored boolean NOT NULL,
  raised bigint NOT NULL,
  number bigint NOT NULL,
  at timestamptz NOT NULL,
  schema integer NOT NULL
) WITH (fillfactor = 50);

-- The log is cut into units by the ids of events, which hold their time. Each is a
-- partition of the four tables that follow: retention drops units. events: how many
-- there are in it, once the head is past it; null until they are counted.
CREATE TABLE grapnel.units (
  first bigint PRIMARY KEY,
  until bigint NOT NULL,
  events bigint,
  CHECK (first < until)
);

-- Units that are out of the log, whose tables (gone_…) are to be counted and dropped.
-- open: what progress left open then began there, so that what is fresh can be told.
-- counted: what ended with it is counted, and only the tables are left to be dropped.
CREATE TABLE grapnel.gone (
  first bigint PRIMARY KEY,
  until bigint NOT NULL,
  open bigint NOT NULL,
  events bigint,
  counted boolean NOT NULL DEFAULT false
);

-- parts: bit i is set if the event is to be delivered to an endpoint in partition i.
-- targets: see internal/codec. number: that of the first delivery.
CREATE TABLE grapnel.events (
  seq bigint NOT NULL,
  tail bigint NOT NULL,
  tenant bigint NOT NULL,
  number bigint NOT NULL,
  parts bigint NOT NULL,
  time bigint NOT NULL,
  revision bigint NOT NULL,
  type text NOT NULL,
  targets bytea NOT NULL,
  data bytea NOT NULL,
  key text,
  fingerprint bytea,
  previous bytea,
  metadata bytea,
  ordering text,
  PRIMARY KEY (seq)
) PARTITION BY RANGE (seq);
CREATE INDEX events_tenant ON grapnel.events (tenant, seq);

-- Attempts are only added. One that is all there is of a delivery delivered it.
-- The key begins with the endpoint, so that it serves the lists of lanes too.
CREATE TABLE grapnel.attempts (
  event bigint NOT NULL,
  endpoint bigint NOT NULL,
  at bigint NOT NULL,
  n smallint NOT NULL,
  state smallint NOT NULL,
  status smallint NOT NULL,
  class text NOT NULL,
  detail bytea NOT NULL,
  PRIMARY KEY (endpoint, event, n)
) PARTITION BY RANGE (event);

-- Only deliveries that were not simply delivered at their first attempt.
CREATE TABLE grapnel.deliveries (
  event bigint NOT NULL,
  endpoint bigint NOT NULL,
  tenant bigint NOT NULL,
  first_at bigint NOT NULL,
  next_at bigint NOT NULL,
  attempts integer NOT NULL,
  base integer NOT NULL,
  state smallint NOT NULL,
  manual boolean NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (endpoint, event)
) PARTITION BY RANGE (event);
CREATE INDEX deliveries_pending ON grapnel.deliveries (endpoint, next_at, event) WHERE state = 1;
CREATE INDEX deliveries_waiting ON grapnel.deliveries (endpoint, event) WHERE state = 1;
CREATE INDEX deliveries_manual ON grapnel.deliveries (next_at, endpoint) WHERE state = 1 AND manual;
CREATE INDEX deliveries_stopped ON grapnel.deliveries (tenant, event) WHERE state IN (2, 4);
CREATE INDEX deliveries_stopped_endpoint ON grapnel.deliveries (endpoint, event) WHERE state IN (2, 4);

-- Bodies that were sent and have to be sent again.
CREATE TABLE grapnel.bodies (
  event bigint NOT NULL,
  endpoint bigint NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (endpoint, event)
) PARTITION BY RANGE (event);

-- lz4 is faster by far, where the server has it.
DO $$
BEGIN
  ALTER TABLE grapnel.events ALTER COLUMN data SET COMPRESSION lz4;
  ALTER TABLE grapnel.attempts ALTER COLUMN detail SET COMPRESSION lz4;
  ALTER TABLE grapnel.bodies ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
  NULL;
END $$;

-- Keys of events and requests that brought events. They are not cut into units: a
-- unique key cannot span partitions. What is asked of a key is beside it, so that
-- looking it up does not go through the units. raised: by how much the ids in the answer are to
-- be raised.
CREATE TABLE grapnel.event_keys (
  tenant bigint NOT NULL,
  key text NOT NULL,
  seq bigint NOT NULL,
  tail bigint NOT NULL,
  fingerprint bytea NOT NULL,
  targets bytea NOT NULL,
  PRIMARY KEY (tenant, key)
);
CREATE INDEX event_keys_seq ON grapnel.event_keys USING brin (seq);

CREATE TABLE grapnel.requests (
  scope text NOT NULL,
  key text NOT NULL,
  at bigint NOT NULL,
  raised bigint NOT NULL,
  fingerprint bytea NOT NULL,
  answer bytea,
  PRIMARY KEY (scope, key)
);
CREATE INDEX requests_at ON grapnel.requests USING brin (at);

-- Progress: what is below a partition's floor is recorded, but for lanes with a mark.
CREATE TABLE grapnel.floors (
  partition smallint PRIMARY KEY,
  seq bigint NOT NULL,
  tail bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE grapnel.lane_marks (
  endpoint bigint PRIMARY KEY,
  partition smallint NOT NULL,
  seq bigint NOT NULL,
  tail bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX lane_marks_partition ON grapnel.lane_marks (partition);

-- Deliveries that one server was asked to cancel and another one sends: it looks here.
CREATE TABLE grapnel.cancels (
  endpoint bigint,
  event bigint,
  tail bigint NOT NULL,
  partition smallint NOT NULL,
  tenant bigint NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (endpoint, event)
);

-- Deliveries that ended by retention, by endpoint.
CREATE TABLE grapnel.expired (
  endpoint bigint PRIMARY KEY,
  count bigint NOT NULL
);

-- Who may send for the lanes of a partition: the token grows with every change of
-- hands. node is null while it is nobody's.
CREATE TABLE grapnel.partitions (
  partition smallint PRIMARY KEY,
  node text,
  token bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO grapnel.partitions (partition, token) SELECT p, 0 FROM generate_series(0, 63) AS p;

-- Nodes, each with its lease over all that it holds. expires: when that ends unless it
-- is renewed. leaves: it is about to go, and gets no more. schema: the version of this
-- schema that its program knows.
CREATE TABLE grapnel.nodes (
  node text PRIMARY KEY,
  version text NOT NULL,
  schema integer NOT NULL,
  address text NOT NULL,
  started timestamptz NOT NULL,
  seen timestamptz NOT NULL,
  expires timestamptz NOT NULL,
  leaves boolean NOT NULL
) WITH (fillfactor = 50);
