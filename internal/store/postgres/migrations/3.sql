-- Transactional publish: applications put events in with transactions of their own, by
-- calling grapnel.publish. It only inserts a row of inbox; nodes move these into the log.

-- What waits to be moved. n ascends within a tenant in the order of the calls, where
-- one was committed before the other began; there is no order among transactions that
-- ran at the same time, and rows may appear below others that have gone. key: the
-- publisher's own id or one that was made for it. time: milliseconds. bytes: of all that
-- the event carries. Rows are only inserted and deleted.
CREATE TABLE grapnel.inbox (
  tenant bigint NOT NULL,
  n bigint GENERATED ALWAYS AS IDENTITY (CACHE 1),
  at bigint NOT NULL,
  bytes bigint NOT NULL,
  time bigint,
  suppress boolean NOT NULL,
  key text NOT NULL,
  type text NOT NULL,
  data text NOT NULL,
  metadata text,
  previous text,
  ordering text,
  PRIMARY KEY (tenant, n)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = -1,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000, autovacuum_vacuum_cost_delay = 0);

-- What turned out not to be taken, as it was, with the reason. told: its tenant knows.
CREATE TABLE grapnel.rejected (
  tenant bigint NOT NULL,
  n bigint NOT NULL,
  at bigint NOT NULL,
  time bigint,
  suppress boolean NOT NULL,
  key text NOT NULL,
  type text NOT NULL,
  data text NOT NULL,
  metadata text,
  previous text,
  ordering text,
  rejected_at bigint NOT NULL,
  code text NOT NULL,
  reason text NOT NULL,
  told boolean NOT NULL,
  PRIMARY KEY (tenant, n)
);
CREATE INDEX rejected_untold ON grapnel.rejected (tenant, n) WHERE NOT told;
CREATE INDEX rejected_at ON grapnel.rejected (rejected_at);
CREATE INDEX rejected_key ON grapnel.rejected (tenant, key);

DO $$
BEGIN
  ALTER TABLE grapnel.inbox ALTER COLUMN data SET COMPRESSION lz4;
  ALTER TABLE grapnel.rejected ALTER COLUMN data SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
  NULL;
END $$;

-- What publish goes by; nodes write their settings here. _window: milliseconds for
-- which a key is known.
CREATE TABLE grapnel.inbox_rules (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  max_bytes bigint NOT NULL,
  window_ms bigint NOT NULL
);
INSERT INTO grapnel.inbox_rules (max_bytes, window_ms) VALUES (1048576, 86400000);

-- Roles that may publish, they and their members, for these tenants alone. Others may for
-- all.
CREATE TABLE grapnel.publishers (
  role text NOT NULL,
  tenant text NOT NULL,
  PRIMARY KEY (role, tenant)
);

-- Which node moves just now, so that others do not do the same work in vain. Nothing
-- depends on it: a row can be moved once only, whoever tries.
CREATE TABLE grapnel.mover (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  node text NOT NULL,
  until timestamptz NOT NULL
) WITH (fillfactor = 10);
INSERT INTO grapnel.mover (node, until) VALUES ('', '-infinity');

-- print1 is an event's fingerprint, as internal/ingest makes it.
CREATE FUNCTION grapnel.print1(_type text, _data text, _previous text, _metadata text, _time bigint, _suppress boolean, _ordering text) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT substr(sha256(
    int8send(length(t)) || t || int8send(length(d)) || d || int8send(length(p)) || p || int8send(length(m)) || m
    || CASE WHEN _time IS NULL THEN int8send(0) ELSE int8send(8) || int8send(_time) END
    || CASE WHEN _suppress THEN decode('01', 'hex') ELSE decode('', 'hex') END
    || CASE WHEN _ordering <> '' THEN decode('02', 'hex') || convert_to(_ordering, 'UTF8') ELSE decode('', 'hex') END), 1, 16)
  FROM (SELECT convert_to(_type, 'UTF8') AS t, convert_to(_data, 'UTF8') AS d, convert_to(coalesce(_previous, ''), 'UTF8') AS p, convert_to(coalesce(_metadata, ''), 'UTF8') AS m) AS parts
$$;

-- publish puts an event in, to be sent if the transaction is committed, and returns the
-- id that it is known by: the caller's own, or one that is made. It takes what POST
-- /v1/tenants/{tenant}/events takes, JSON as text; what SQL can check it checks, and
-- fails with one of PostgreSQL's own codes. An id that an event has already is returned
-- where that is the same event. It holds no lock that anybody else waits for.
CREATE FUNCTION grapnel.publish(
  tenant text, type text, data text, id text DEFAULT NULL, "time" timestamptz DEFAULT NULL,
  metadata text DEFAULT NULL, previous text DEFAULT NULL, ordering_key text DEFAULT NULL, suppress boolean DEFAULT false
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  _space constant text := E' \t\n\r';
  _data constant text := btrim(publish.data, _space);
  _metadata constant text := btrim(publish.metadata, _space);
  _previous constant text := btrim(publish.previous, _space);
  _suppress constant boolean := coalesce(publish.suppress, false);
  _ordering constant text := nullif(publish.ordering_key, '');
  _now constant bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000;
  _role text := nullif(current_setting('role', true), 'none'); -- of SET ROLE, which current_user does not show here
  _key text := publish.id;
  _tenant bigint;
  _time bigint;
  _max bigint;
  _window bigint;
  _print bytea;
  _part text;
  _why text;
  _where text;
BEGIN
  IF publish.tenant IS NULL OR publish.type IS NULL OR _data IS NULL THEN
    RAISE EXCEPTION 'the event has no %', CASE WHEN publish.tenant IS NULL THEN 'tenant' WHEN publish.type IS NULL THEN 'type' ELSE 'data' END
      USING ERRCODE = 'null_value_not_allowed', HINT = 'Tenant, type and data are text and not NULL; for no data at all write ''null'', which is JSON.';
  END IF;
  IF publish.type !~ '^[A-Za-z0-9_.-]{1,128}$' OR publish.type IN ('.', '..') THEN
    RAISE EXCEPTION 'the event type % is not valid', quote_literal(left(publish.type, 130))
      USING ERRCODE = 'invalid_parameter_value', HINT = 'It has 1 to 128 of the characters A-Z a-z 0-9 _ . -';
  END IF;
  IF starts_with(publish.type, 'grapnel.') THEN
    RAISE EXCEPTION 'the event type % begins with "grapnel.", as only events of the server itself do', quote_literal(publish.type)
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Use another name.';
  END IF;
  IF _key IS NOT NULL AND (octet_length(_key) NOT BETWEEN 1 AND 256 OR _key !~ '^[ -~]+$') THEN
    RAISE EXCEPTION 'the event''s id is not valid' USING ERRCODE = 'invalid_parameter_value', HINT = 'It has 1 to 256 printable ASCII characters; leave it out and one is made.';
  END IF;
  IF octet_length(_ordering) > 255 OR _ordering ~ '[[:cntrl:]]' THEN
    RAISE EXCEPTION 'the ordering key is not valid' USING ERRCODE = 'invalid_parameter_value', HINT = 'It has at most 255 bytes and no control characters.';
  END IF;

  _role := coalesce(_role, session_user);
  -- Members of a role that is listed are bound as it is; the owner and superusers, who are
  -- members of whatever they like, are not.
  IF NOT EXISTS (SELECT FROM grapnel.publishers AS p WHERE p.role = _role AND p.tenant = publish.tenant)
    AND _role <> current_user AND NOT coalesce((SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = _role), false)
    AND EXISTS (SELECT FROM grapnel.publishers AS p JOIN pg_roles AS r ON r.rolname = p.role WHERE pg_has_role(_role::name, r.oid, 'MEMBER'))
    AND NOT EXISTS (SELECT FROM grapnel.publishers AS p JOIN pg_roles AS r ON r.rolname = p.role WHERE p.tenant = publish.tenant AND pg_has_role(_role::name, r.oid, 'MEMBER')) THEN
    RAISE EXCEPTION 'role % may not publish for tenant %', _role, quote_literal(left(publish.tenant, 130)) USING ERRCODE = 'insufficient_privilege', HINT = 'Its tenants are in grapnel.publishers.';
  END IF;
  SELECT t.num, r.max_bytes, r.window_ms INTO _tenant, _max, _window
  FROM grapnel.tenants AS t, grapnel.inbox_rules AS r WHERE t.id = publish.tenant AND NOT t.deleted;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no tenant %', quote_literal(left(publish.tenant, 130)) USING ERRCODE = 'foreign_key_violation', HINT = 'Create it with PUT /v1/tenants/{tenant}.';
  END IF;
  _part := CASE WHEN octet_length(_data) > _max THEN 'data' WHEN octet_length(_previous) > _max THEN 'previous' WHEN octet_length(_metadata) > _max THEN 'metadata' END;
  IF _part IS NOT NULL THEN
    RAISE EXCEPTION 'the event''s % has more than % bytes', _part, _max USING ERRCODE = 'program_limit_exceeded', HINT = 'Put what is large elsewhere and send its address. The operator sets the limit by --max-event-size.';
  END IF;

  BEGIN
    _part := 'data';
    PERFORM _data::json;
    _part := 'previous';
    PERFORM _previous::json;
    _part := 'metadata';
    PERFORM _metadata::json;
  EXCEPTION WHEN invalid_text_representation OR statement_too_complex THEN -- the latter: nested too deep
    GET STACKED DIAGNOSTICS _why = MESSAGE_TEXT, _where = PG_EXCEPTION_DETAIL;
    RAISE EXCEPTION 'the event''s % is not JSON', _part
      USING ERRCODE = 'invalid_text_representation', DETAIL = _why || '. ' || _where, HINT = 'Give JSON as text: what you have as jsonb, cast to text.';
  END;
  IF json_typeof(_metadata::json) <> 'object' THEN
    RAISE EXCEPTION 'the event''s metadata is not a JSON object' USING ERRCODE = 'invalid_parameter_value', HINT = 'Write it as ''{"name":"value"}''.';
  END IF;
  IF publish."time" IS NOT NULL THEN
    IF publish."time" NOT BETWEEN '0001-01-01 00:00Z' AND '9999-12-31 23:59:59.999Z' THEN
      RAISE EXCEPTION 'the event''s time is out of range' USING ERRCODE = 'datetime_field_overflow';
    END IF;
    _time := floor(extract(epoch FROM publish."time") * 1000);
  END IF;

  IF _key IS NULL THEN
    _key := 'tx_' || replace(gen_random_uuid()::text, '-', '');
  ELSE
    SELECT k.fingerprint INTO _print FROM grapnel.event_keys AS k WHERE k.tenant = _tenant AND k.key = _key AND k.seq / 4096 >= _now / 1000000 - _window;
    IF FOUND THEN
      IF _print <> grapnel.print1(publish.type, _data, _previous, _metadata, _time, _suppress, _ordering) THEN
        RAISE EXCEPTION 'the event id % was used before for another event', quote_literal(_key) USING ERRCODE = 'unique_violation', HINT = 'Use a new id for a new event.';
      END IF;
      RETURN _key;
    END IF;
  END IF;
  INSERT INTO grapnel.inbox (tenant, at, bytes, time, suppress, key, type, data, metadata, previous, ordering)
  VALUES (_tenant, _now, octet_length(_data) + coalesce(octet_length(_metadata), 0) + coalesce(octet_length(_previous), 0), _time, _suppress, _key, publish.type, _data, _metadata, _previous, _ordering);
  RETURN _key;
END $$;

-- mover1 says whether a node is to move what waits: something does, and no other node is
-- at it. _for: how long it has the say then, unless it asks again.
CREATE FUNCTION grapnel.mover1(_node text, _for interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  _now constant timestamptz := clock_timestamp();
  _mover record;
BEGIN
  IF NOT EXISTS (SELECT FROM grapnel.inbox) THEN
    RETURN false;
  END IF;
  SELECT m.node, m.until INTO _mover FROM grapnel.mover AS m;
  IF _mover.node = _node AND _mover.until > _now + _for / 2 AND _mover.until <= _now + _for THEN
    RETURN true;
  END IF;
  IF _mover.node <> _node AND _mover.until > _now AND _mover.until <= _now + '1 minute' THEN
    RETURN false;
  END IF;
  PERFORM set_config('synchronous_commit', 'off', true); -- nothing is lost with it
  PERFORM FROM grapnel.mover FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  UPDATE grapnel.mover AS m SET node = _node, until = _now + _for WHERE m.node = _mover.node AND m.until = _mover.until;
  RETURN FOUND;
END $$;

-- waiting1 reads what waits: of up to _tenants tenants that follow _after and are not in _skip,
-- up to _each of the oldest events of each, and no more than _rows or about _bytes in all.
-- It steps from tenant to tenant in the index, so that one with a million rows costs what
-- another does. The settings keep it there, for the table's size is another each second.
CREATE FUNCTION grapnel.waiting1(_after bigint, _skip bigint[], _tenants bigint, _each bigint, _rows bigint, _bytes bigint)
RETURNS TABLE (tenant bigint, n bigint, name text, at bigint, "time" bigint, suppress boolean, key text, type text, data text, metadata text, previous text, ordering text)
LANGUAGE sql STABLE SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
  WITH RECURSIVE step (num) AS (
    (SELECT i.tenant FROM grapnel.inbox AS i WHERE i.tenant > _after ORDER BY i.tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT i.tenant FROM grapnel.inbox AS i WHERE i.tenant > step.num ORDER BY i.tenant LIMIT 1) FROM step WHERE step.num IS NOT NULL
  ), turn AS (
    SELECT step.num FROM step WHERE step.num IS NOT NULL AND step.num <> ALL (_skip) LIMIT _tenants
  ), picked AS (
    SELECT i.tenant, i.n, sum(i.bytes) OVER (ORDER BY i.tenant, i.n) - i.bytes AS ahead
    FROM turn CROSS JOIN LATERAL (SELECT w.tenant, w.n, w.bytes FROM grapnel.inbox AS w WHERE w.tenant = turn.num ORDER BY w.n LIMIT _each) AS i
    ORDER BY i.tenant, i.n LIMIT _rows
  )
  SELECT i.tenant, i.n, t.id, i.at, i.time, i.suppress, i.key, i.type, i.data, i.metadata, i.previous, i.ordering
  FROM picked JOIN grapnel.inbox AS i ON i.tenant = picked.tenant AND i.n = picked.n LEFT JOIN grapnel.tenants AS t ON t.num = i.tenant AND NOT t.deleted
  WHERE picked.ahead < _bytes ORDER BY i.tenant, i.n
$$;

-- take1 takes rows out of the inbox, all of them or none: GRP05 where somebody else has one,
-- without waiting to see. Those with a code are kept as rejected.
CREATE FUNCTION grapnel.take1(_tenants bigint[], _ns bigint[], _codes text[], _reasons text[]) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  _got bigint;
BEGIN
  WITH asked AS (
    SELECT * FROM unnest(_tenants, _ns, _codes, _reasons) AS q (tenant, n, code, reason)
  ), held AS (
    SELECT i.tenant, i.n FROM asked JOIN grapnel.inbox AS i ON i.tenant = asked.tenant AND i.n = asked.n FOR UPDATE OF i SKIP LOCKED
  ), gone AS (
    DELETE FROM grapnel.inbox AS i USING held WHERE i.tenant = held.tenant AND i.n = held.n RETURNING i.*
  ), kept AS (
    INSERT INTO grapnel.rejected (tenant, n, at, time, suppress, key, type, data, metadata, previous, ordering, rejected_at, code, reason, told)
    SELECT g.tenant, g.n, g.at, g.time, g.suppress, g.key, g.type, g.data, g.metadata, g.previous, g.ordering, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000, asked.code, asked.reason, false
    FROM gone AS g JOIN asked ON asked.tenant = g.tenant AND asked.n = g.n WHERE asked.code <> ''
  )
  SELECT count(*) INTO _got FROM gone;
  IF _got < cardinality(_ns) THEN
    RAISE EXCEPTION '% of the events are not in the inbox any more', cardinality(_ns) - _got USING ERRCODE = 'GRP05';
  END IF;
  RETURN _got;
END $$;

-- Whoever may use the schema may call nothing in it unless that is granted.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA grapnel FROM PUBLIC
