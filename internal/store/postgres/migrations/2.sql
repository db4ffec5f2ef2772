-- What has to be one round trip is a function: no client that stops half-way leaves
-- a lock behind, and their plans are kept by the server, also behind a pooler, where
-- a client's prepared statements would not be. The number at the end of a name is
-- the function's version: one that changes gets the next, and its predecessor stays
-- for the programs of the schema version before.
--
-- Errors of their own, which errors.go knows: GRP01 the configuration's revision is
-- stale, GRP02 a key is taken, GRP03 this append was given up, GRP04 the lease is
-- lost.

-- clock1 is this server's time, in milliseconds since 1970. What one node's clock says
-- all others may have to live with is held against it.
CREATE FUNCTION grapnel.clock1() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- latest1 is the latest id that a node is given for proposing it. A clock may be a
-- second ahead of the server's.
CREATE FUNCTION grapnel.latest1() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT (grapnel.clock1() + 1000) * 4096
$$;

-- append1 stores a batch: all of it, or nothing. _window is in milliseconds. The
-- events' ids are raised, or lowered, so that they follow the last one of all nodes,
-- and are not from the future.
CREATE FUNCTION grapnel.append1(
  _appender text, _serial bigint, _revision bigint, _window bigint, _deliveries bigint, _keyed bigint,
  _seqs bigint[], _tails bigint[], _tenants bigint[], _offsets bigint[], _parts bigint[], _times bigint[], _revisions bigint[],
  _types text[], _targets bytea[], _data bytea[], _keys text[], _prints bytea[], _previous bytea[], _metadata bytea[], _ordering text[],
  _scopes text[], _request_keys text[], _ats bigint[], _request_prints bytea[], _answers bytea[],
  OUT raised bigint, OUT number bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  _count constant integer := coalesce(cardinality(_seqs), 0);
  _latest constant bigint := grapnel.latest1();
  _got bigint;
BEGIN
  IF (SELECT r.n FROM grapnel.revision AS r) > _revision THEN
    RAISE EXCEPTION 'the configuration is at a later revision than %', _revision USING ERRCODE = 'GRP01';
  END IF;
  raised := 0;
  number := 0;
  IF _count > 0 THEN
    UPDATE grapnel.head AS h SET
      last = _seqs[_count] - _seqs[1] + greatest(least(_seqs[1], _latest), h.last + 1), tail = _tails[_count],
      number = h.number + _deliveries, events = h.events + _count
    RETURNING h.last - _seqs[_count], h.number - _deliveries INTO raised, number;
  END IF;

  UPDATE grapnel.appenders AS a SET serial = _serial, stored = true, raised = append1.raised, number = append1.number, at = now()
  WHERE a.appender = _appender AND a.serial < _serial;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'append % was given up', _serial USING ERRCODE = 'GRP03';
  END IF;

  IF _keyed > 0 THEN
    INSERT INTO grapnel.event_keys AS k (tenant, key, seq, tail, fingerprint, targets)
    SELECT e.tenant, e.key, e.seq + append1.raised, e.tail, e.fingerprint, e.targets
    FROM unnest(_tenants, _keys, _seqs, _tails, _prints, _targets) AS e (tenant, key, seq, tail, fingerprint, targets)
    WHERE e.key IS NOT NULL
    ON CONFLICT (tenant, key) DO UPDATE SET seq = excluded.seq, tail = excluded.tail, fingerprint = excluded.fingerprint, targets = excluded.targets
    WHERE k.seq / 4096 < excluded.seq / 4096 - _window;
    GET DIAGNOSTICS _got = ROW_COUNT;
    IF _got < _keyed THEN
      RAISE EXCEPTION '% of the batch''s event keys are in use', _keyed - _got USING ERRCODE = 'GRP02';
    END IF;
  END IF;

  IF cardinality(_scopes) > 0 THEN
    INSERT INTO grapnel.requests AS q (scope, key, at, raised, fingerprint, answer)
    SELECT r.scope, r.key, least(r.at, _latest / 4096 * 1000000), append1.raised, r.fingerprint, r.answer
    FROM unnest(_scopes, _request_keys, _ats, _request_prints, _answers) AS r (scope, key, at, fingerprint, answer)
    ON CONFLICT (scope, key) DO UPDATE SET at = excluded.at, raised = excluded.raised, fingerprint = excluded.fingerprint, answer = excluded.answer
    WHERE q.at < excluded.at - _window * 1000000;
    GET DIAGNOSTICS _got = ROW_COUNT;
    IF _got < cardinality(_scopes) THEN
      RAISE EXCEPTION '% of the batch''s idempotency keys are in use', cardinality(_scopes) - _got USING ERRCODE = 'GRP02';
    END IF;
  END IF;

  IF _count > 0 THEN
    INSERT INTO grapnel.events (seq, tail, tenant, number, parts, time, revision, type, targets, data, key, fingerprint, previous, metadata, ordering)
    SELECT e.seq + append1.raised, e.tail, e.tenant, append1.number + e.off, e.parts, e.time, e.revision, e.type, e.targets, e.data,
      e.key, e.fingerprint, e.previous, e.metadata, e.ordering
    FROM unnest(_seqs, _tails, _tenants, _offsets, _parts, _times, _revisions, _types, _targets, _data, _keys, _prints, _previous, _metadata, _ordering)
      AS e (seq, tail, tenant, off, parts, time, revision, type, targets, data, key, fingerprint, previous, metadata, ordering);
  END IF;
END $$;

-- resolve1 says what became of an append whose answer was lost, and ends the
-- question: one that was not stored is refused from now on. It waits for one that
-- still runs.
CREATE FUNCTION grapnel.resolve1(_appender text, _serial bigint, OUT stored boolean, OUT raised bigint, OUT number bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  UPDATE grapnel.appenders AS a SET serial = _serial, stored = false, at = now() WHERE a.appender = _appender AND a.serial < _serial;
  SELECT a.stored AND a.serial = _serial, a.raised, a.number INTO stored, raised, number FROM grapnel.appenders AS a WHERE a.appender = _appender;
END $$;

-- cut1 makes the units that events with these ids need, each of which spans _span
-- ids or what there is room for between others.
CREATE FUNCTION grapnel.cut1(_seqs bigint[], _span bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  _seq bigint;
  _first bigint;
  _until bigint;
  _table text;
BEGIN
  PERFORM pg_advisory_xact_lock(1198678382, 1);
  FOR _seq IN SELECT DISTINCT s / _span * _span FROM unnest(_seqs) AS s LOOP
    CONTINUE WHEN EXISTS (SELECT FROM grapnel.units AS u WHERE u.first <= _seq AND u.until > _seq);
    SELECT greatest(_seq, max(u.until)) INTO _first FROM grapnel.units AS u WHERE u.first <= _seq;
    SELECT least(_seq + _span, min(u.first)) INTO _until FROM grapnel.units AS u WHERE u.first > _seq;
    FOREACH _table IN ARRAY ARRAY['events', 'attempts', 'deliveries', 'bodies'] LOOP
      EXECUTE format('CREATE TABLE grapnel.%I (LIKE grapnel.%I INCLUDING ALL)', _table || '_' || _first, _table);
      IF _table = 'deliveries' THEN -- rows change, and not in what the other indexes are of
        EXECUTE format('ALTER TABLE grapnel.%I SET (fillfactor = 80)', _table || '_' || _first);
      END IF;
      -- Attaching lets appends to other units go on, which CREATE … PARTITION OF would not.
      EXECUTE format('ALTER TABLE grapnel.%I ATTACH PARTITION grapnel.%I FOR VALUES FROM (%s) TO (%s)', _table, _table || '_' || _first, _first, _until);
    END LOOP;
    INSERT INTO grapnel.units (first, until) VALUES (_first, _until);
  END LOOP;
END $$;

-- fence1 refuses a lease that is not held under these tokens. Until the transaction
-- ends none of its partitions changes hands: whoever takes one over needs the lock on
-- its former holder, which costs neither a row's lock nor anything on the disk.
CREATE FUNCTION grapnel.fence1(_node text, _partitions smallint[], _tokens bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1198678383, hashtext(_node));
  IF (
    SELECT count(*) FROM unnest(_partitions, _tokens) AS l (partition, token)
    JOIN grapnel.partitions AS p ON p.partition = l.partition AND p.token = l.token AND p.node = _node
  ) < cardinality(_partitions) THEN
    RAISE EXCEPTION 'a partition is not held by % under the token that it has for it', _node USING ERRCODE = 'GRP04';
  END IF;
END $$;

-- What follows locks in one order, so that nobody waits in a circle: rows of nodes,
-- rows of partitions, locks on holders. A node's row is locked by its own renewal, or
-- by whoever has found that its lease is over.

-- acquire1 makes a node known, with nothing of what it had before, and gives it what
-- it can have. It forgets nodes that went long ago.
CREATE FUNCTION grapnel.acquire1(
  _node text, _version text, _schema integer, _address text, _length interval,
  OUT partitions smallint[], OUT tokens bigint[], OUT yields boolean[], OUT alive integer
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  DELETE FROM grapnel.nodes WHERE node IN (
    SELECT n.node FROM grapnel.nodes AS n WHERE n.expires < clock_timestamp() - interval '1 day' AND n.node <> _node FOR UPDATE SKIP LOCKED);
  INSERT INTO grapnel.nodes (node, version, schema, address, started, seen, expires, leaves)
  VALUES (_node, _version, _schema, _address, clock_timestamp(), clock_timestamp(), clock_timestamp() + _length, false)
  ON CONFLICT (node) DO UPDATE SET version = excluded.version, schema = excluded.schema, address = excluded.address, started = excluded.started;
  SELECT r.* INTO partitions, tokens, yields, alive FROM grapnel.renew1(_node, _length, false, '{}', '{}') AS r;
END $$;

-- renew1 extends a node's lease and says what it holds: of what it has tokens for,
-- that which is still its own, and what comes to it now. Each node that is alive gets
-- its share of the partitions; shares differ by one at most, and when a node comes or
-- goes no more change hands than have to. yields: what it has above its share, the
-- same ones each time. alive: how many nodes there are. Leases are held against this
-- server's clock alone.
CREATE FUNCTION grapnel.renew1(
  _node text, _length interval, _leaves boolean, _partitions smallint[], _tokens bigint[],
  OUT partitions smallint[], OUT tokens bigint[], OUT yields boolean[], OUT alive integer
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  _started timestamptz;
  _over text[]; -- nodes whose leases are over
  _gained smallint[];
  _surplus smallint[];
  _before bigint; -- nodes that come before this one in sharing out
  _share bigint;
BEGIN
  UPDATE grapnel.nodes AS n SET seen = clock_timestamp(), expires = clock_timestamp() + _length, leaves = _leaves
  WHERE n.node = _node RETURNING n.started INTO _started;
  IF NOT FOUND OR grapnel.superseded1(_node, _partitions, _tokens) THEN
    RAISE EXCEPTION 'node % is not known any more', _node USING ERRCODE = 'GRP04';
  END IF;

  -- This server's clock may have gone back: what is from the future counts from now, so
  -- that whoever is there has a lease's time to say so, and whoever is not is over then.
  UPDATE grapnel.nodes AS n SET seen = clock_timestamp(), expires = clock_timestamp() + _length
  WHERE n.node IN (SELECT f.node FROM grapnel.nodes AS f WHERE f.seen > clock_timestamp() + interval '1 second' FOR UPDATE SKIP LOCKED);

  -- A lease that is being renewed just now is not over.
  SELECT coalesce(array_agg(o.node), '{}') INTO _over
  FROM (SELECT n.node FROM grapnel.nodes AS n WHERE n.expires < clock_timestamp() AND n.node <> _node FOR SHARE SKIP LOCKED) AS o;
  SELECT count(*), count(*) FILTER (WHERE (n.started, n.node) < (_started, _node)) INTO alive, _before
  FROM grapnel.nodes AS n WHERE n.node = _node OR NOT n.leaves AND n.node <> ALL (_over);
  _share := CASE WHEN _leaves THEN 0 ELSE (64 - _before + alive - 1) / alive END;

  _gained := grapnel.regain1(_node, _partitions, _tokens)
    || grapnel.gain1(_node, _over, _share - (SELECT count(*) FROM grapnel.partitions AS p WHERE p.node = _node));
  SELECT array_agg(s.partition) INTO _surplus FROM (
    SELECT p.partition FROM grapnel.partitions AS p WHERE p.node = _node AND NOT _leaves ORDER BY p.partition OFFSET _share) AS s;

  SELECT coalesce(array_agg(p.partition ORDER BY p.partition), '{}'), coalesce(array_agg(p.token ORDER BY p.partition), '{}'),
    coalesce(array_agg(coalesce(p.partition = ANY (_surplus), false) ORDER BY p.partition), '{}')
  INTO partitions, tokens, yields
  FROM grapnel.partitions AS p
  WHERE p.node = _node AND (p.partition = ANY (_gained)
    OR EXISTS (SELECT FROM unnest(_partitions, _tokens) AS l (partition, token) WHERE l.partition = p.partition AND l.token = p.token));
END $$;

-- superseded1 tells a lease of which nothing counts any more, while the node has
-- others: that of a predecessor of the same name.
CREATE FUNCTION grapnel.superseded1(_node text, _partitions smallint[], _tokens bigint[]) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RETURN cardinality(_partitions) > 0 AND EXISTS (SELECT FROM grapnel.partitions AS p WHERE p.node = _node) AND NOT EXISTS (
    SELECT FROM grapnel.partitions AS p JOIN unnest(_partitions, _tokens) AS l (partition, token) ON l.partition = p.partition AND l.token = p.token
    WHERE p.node = _node);
END $$;

-- regain1 gives a node what is its own already without its knowing the token, for it
-- missed an answer or began anew. The token changes, so that nothing counts any more
-- that it said under the old one.
CREATE FUNCTION grapnel.regain1(_node text, _partitions smallint[], _tokens bigint[]) RETURNS smallint[] LANGUAGE plpgsql AS $$
DECLARE
  _own smallint[];
BEGIN
  SELECT array_agg(o.partition) INTO _own FROM (
    SELECT p.partition FROM grapnel.partitions AS p
    WHERE p.node = _node
      AND NOT EXISTS (SELECT FROM unnest(_partitions, _tokens) AS l (partition, token) WHERE l.partition = p.partition AND l.token = p.token)
    ORDER BY p.partition FOR UPDATE OF p) AS o;
  IF _own IS NULL OR NOT pg_try_advisory_xact_lock(1198678383, hashtext(_node)) THEN
    RETURN '{}';
  END IF;
  UPDATE grapnel.partitions AS p SET token = p.token + 1 WHERE p.partition = ANY (_own);
  RETURN _own;
END $$;

-- gain1 gives a node up to _room partitions that are nobody's, or whose holder's lease
-- is over. What that still records just now stays with it: its turn comes with the next
-- renewal, so that nobody's renewal waits for another node.
CREATE FUNCTION grapnel.gain1(_node text, _over text[], _room bigint) RETURNS smallint[] LANGUAGE plpgsql AS $$
DECLARE
  _p record;
  _gained smallint[] := '{}';
BEGIN
  FOR _p IN
    SELECT p.partition, p.node FROM grapnel.partitions AS p
    WHERE p.node IS NULL OR p.node = ANY (_over) OR NOT EXISTS (SELECT FROM grapnel.nodes AS n WHERE n.node = p.node)
    ORDER BY p.partition LIMIT greatest(_room, 0) FOR UPDATE OF p SKIP LOCKED
  LOOP
    CONTINUE WHEN _p.node IS NOT NULL AND NOT pg_try_advisory_xact_lock(1198678383, hashtext(_p.node));
    UPDATE grapnel.partitions AS p SET node = _node, token = p.token + 1 WHERE p.partition = _p.partition;
    _gained := _gained || _p.partition;
  END LOOP;
  RETURN _gained;
END $$;

-- release1 gives partitions back, once what is being recorded of them is, and forgets
-- a node that leaves and has none any more.
CREATE FUNCTION grapnel.release1(_node text, _partitions smallint[], _tokens bigint[], _leaves boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE grapnel.nodes AS n SET leaves = n.leaves OR _leaves WHERE n.node = _node;
  PERFORM FROM grapnel.partitions AS p JOIN unnest(_partitions, _tokens) AS l (partition, token) ON l.partition = p.partition
  WHERE p.node = _node AND p.token = l.token ORDER BY p.partition FOR UPDATE OF p;
  PERFORM pg_advisory_xact_lock(1198678383, hashtext(_node));
  UPDATE grapnel.partitions AS p SET node = NULL, token = p.token + 1
  FROM unnest(_partitions, _tokens) AS l (partition, token)
  WHERE l.partition = p.partition AND p.node = _node AND p.token = l.token;
  IF FOUND THEN
    PERFORM pg_notify('grapnel_leases', '');
  END IF;
  DELETE FROM grapnel.nodes AS n WHERE n.node = _node AND n.leaves AND NOT EXISTS (SELECT FROM grapnel.partitions AS p WHERE p.node = _node);
END $$;

-- record1 stores outcomes. _n is 0 where no request was made. _round counts the outcomes
-- of one delivery, from 0 on; what is of one round is of different deliveries, and is
-- stored at once. _simple says that an outcome is a first attempt that delivered, and
-- the only one of its delivery here: where nothing else is known of that, the attempt is
-- all that is kept. _low and _high are the first and the last of the events: they keep
-- the server from opening every unit there is.
CREATE FUNCTION grapnel.record1(
  _node text, _partitions smallint[], _tokens bigint[], _low bigint, _high bigint, _simple boolean[], _rounds integer[],
  _events bigint[], _tails bigint[], _endpoints bigint[], _states smallint[], _reasons text[], _next_ats bigint[], _first_ats bigint[], _bases integer[], _bodies bytea[],
  _ns integer[], _ats bigint[], _attempt_states smallint[], _statuses smallint[], _classes text[], _details bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  _stored bigint;
  _asked bigint;
BEGIN
  PERFORM grapnel.fence1(_node, _partitions, _tokens);

  IF true = ANY (_simple) THEN
    INSERT INTO grapnel.attempts (event, endpoint, n, at, state, status, class, detail)
    SELECT o.event, o.endpoint, o.n, o.at, o.attempt_state, o.status, o.class, o.detail
    FROM unnest(_simple, _events, _tails, _endpoints, _ns, _ats, _attempt_states, _statuses, _classes, _details)
      AS o (simple, event, tail, endpoint, n, at, attempt_state, status, class, detail)
    WHERE o.simple
      AND EXISTS (SELECT FROM grapnel.events AS e WHERE e.seq = o.event AND e.tail = o.tail AND e.seq BETWEEN _low AND _high)
      AND NOT EXISTS (SELECT FROM grapnel.deliveries AS d WHERE d.endpoint = o.endpoint AND d.event = o.event AND d.event BETWEEN _low AND _high)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS _stored = ROW_COUNT;
    IF _stored = cardinality(_simple) THEN
      RETURN;
    END IF;
  END IF;

  FOR _r IN 0 .. (SELECT max(r) FROM unnest(_rounds) AS r) LOOP
    -- Redeliver may be at the same rows. Locked, they are what the next statement sees.
    PERFORM FROM grapnel.deliveries AS d JOIN unnest(_rounds, _events, _endpoints) AS o (round, event, endpoint) ON d.endpoint = o.endpoint AND d.event = o.event
    WHERE o.round = _r AND d.event BETWEEN _low AND _high
    ORDER BY d.event, d.endpoint FOR UPDATE OF d;

    -- An attempt of a delivery without a row delivered it. What is stale is from before a
    -- redelivery.
    WITH o AS MATERIALIZED (
      SELECT o.*, e.tenant, d.event IS NOT NULL AS known, d.event IS NOT NULL AND o.base < d.base AND o.state <> 3 AS stale
      FROM unnest(_simple, _rounds, _events, _tails, _endpoints, _states, _reasons, _next_ats, _first_ats, _bases, _bodies, _ns, _ats, _attempt_states, _statuses, _classes, _details)
        AS o (simple, round, event, tail, endpoint, state, reason, next_at, first_at, base, body, n, at, attempt_state, status, class, detail)
      JOIN grapnel.events AS e ON e.seq = o.event AND e.tail = o.tail AND e.seq BETWEEN _low AND _high
      LEFT JOIN grapnel.deliveries AS d ON d.endpoint = o.endpoint AND d.event = o.event AND d.event BETWEEN _low AND _high
      WHERE o.round = _r AND CASE WHEN d.event IS NULL
        THEN NOT o.simple AND NOT EXISTS (SELECT FROM grapnel.attempts AS a WHERE a.endpoint = o.endpoint AND a.event = o.event AND a.event BETWEEN _low AND _high)
        ELSE d.state < 3 AND (o.n = 0 OR o.n > d.attempts) AND NOT (o.n = 0 AND o.base < d.base AND o.state <> 3) END
    ), made AS (
      INSERT INTO grapnel.deliveries (event, endpoint, tenant, first_at, next_at, attempts, base, state, manual, reason)
      SELECT o.event, o.endpoint, o.tenant, o.first_at, o.next_at, o.n, o.base, o.state, false, o.reason FROM o
      WHERE NOT o.known AND NOT (o.n = 1 AND o.state = 3)
      ON CONFLICT DO NOTHING
      RETURNING 1
    ), changed AS (
      UPDATE grapnel.deliveries AS d SET
        state = CASE WHEN o.stale THEN d.state ELSE o.state END, reason = CASE WHEN o.stale THEN d.reason ELSE o.reason END,
        base = CASE WHEN o.stale THEN o.n ELSE o.base END, attempts = CASE WHEN o.n > 0 THEN o.n ELSE d.attempts END,
        first_at = CASE WHEN o.stale THEN d.first_at ELSE o.first_at END, next_at = CASE WHEN o.stale THEN d.next_at ELSE o.next_at END,
        manual = d.manual AND (o.stale OR o.n = 0)
      FROM o WHERE o.known AND d.endpoint = o.endpoint AND d.event = o.event AND d.event BETWEEN _low AND _high
    ), kept AS (
      INSERT INTO grapnel.bodies AS b (event, endpoint, body) SELECT o.event, o.endpoint, o.body FROM o WHERE o.body IS NOT NULL AND NOT o.stale
      ON CONFLICT (endpoint, event) DO UPDATE SET body = excluded.body
    ), tried AS (
      INSERT INTO grapnel.attempts (event, endpoint, n, at, state, status, class, detail)
      SELECT o.event, o.endpoint, o.n, o.at, o.attempt_state, o.status, o.class, o.detail FROM o WHERE o.n > 0
      ON CONFLICT DO NOTHING
    )
    SELECT (SELECT count(*) FROM o WHERE NOT o.known AND NOT (o.n = 1 AND o.state = 3)), (SELECT count(*) FROM made) INTO _asked, _stored;
    IF _stored < _asked THEN
      RAISE EXCEPTION 'a redelivery was faster' USING ERRCODE = '40001'; -- to be tried again
    END IF;
  END LOOP;
END $$;

-- redeliver1 makes a delivery pending. _sent says that it is to be sent anyway if
-- nothing is recorded of it, and then it stays as it is.
CREATE FUNCTION grapnel.redeliver1(
  _event bigint, _endpoint bigint, _tenant bigint, _sent boolean, _now bigint, _node text, _partitions smallint[], _tokens bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  _n integer;
BEGIN
  IF cardinality(_partitions) > 0 THEN
    PERFORM grapnel.fence1(_node, _partitions, _tokens);
  END IF;
  DELETE FROM grapnel.cancels WHERE endpoint = _endpoint AND event = _event; -- what is asked for last counts
  UPDATE grapnel.deliveries SET state = 1, reason = '', base = attempts, manual = true, first_at = 0, next_at = _now
  WHERE endpoint = _endpoint AND event = _event;
  IF FOUND THEN
    RETURN;
  END IF;
  SELECT max(n) INTO _n FROM grapnel.attempts WHERE endpoint = _endpoint AND event = _event;
  IF _n IS NULL AND _sent THEN
    RETURN;
  END IF;
  INSERT INTO grapnel.deliveries (event, endpoint, tenant, first_at, next_at, attempts, base, state, manual, reason)
  VALUES (_event, _endpoint, _tenant, 0, _now, coalesce(_n, 0), coalesce(_n, 0), 1, true, '')
  ON CONFLICT (endpoint, event) DO UPDATE SET state = 1, reason = '', base = deliveries.attempts, manual = true, first_at = 0, next_at = _now;
END $$;

-- checkpoint1 keeps progress.
CREATE FUNCTION grapnel.checkpoint1(
  _node text, _partitions smallint[], _tokens bigint[], _seq bigint, _tail bigint,
  _behind bigint[], _behind_partitions smallint[], _behind_seqs bigint[], _behind_tails bigint[], _caught_up bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM grapnel.fence1(_node, _partitions, _tokens);
  INSERT INTO grapnel.floors AS f (partition, seq, tail) SELECT p, _seq, _tail FROM unnest(_partitions) AS p
  ON CONFLICT (partition) DO UPDATE SET seq = excluded.seq, tail = excluded.tail WHERE f.seq <> excluded.seq;
  DELETE FROM grapnel.lane_marks WHERE endpoint = ANY (_caught_up);
  INSERT INTO grapnel.lane_marks AS m (endpoint, partition, seq, tail)
  SELECT * FROM unnest(_behind, _behind_partitions, _behind_seqs, _behind_tails)
  ON CONFLICT (endpoint) DO UPDATE SET seq = excluded.seq, tail = excluded.tail;
END $$;

-- fresh1 reads, in order, up to _limit events for lanes of a partition of which nothing is
-- recorded for an endpoint. It looks at _scan events from _from on at most, one after the
-- other, and ends as soon as it has found enough: the settings keep it to that, for the
-- figures of a table that grows lag behind, and by them it would be sorted as a whole, on
-- disk, for each page.
CREATE FUNCTION grapnel.fresh1(_from bigint, _before bigint, _parts bigint, _endpoint bigint, _limit bigint, _scan bigint)
RETURNS TABLE (seq bigint, tail bigint, tenant bigint, number bigint, "time" bigint, revision bigint, type text, targets bytea, data bytea, key text, fingerprint bytea, previous bytea, metadata bytea, ordering text)
LANGUAGE plpgsql STABLE SET enable_sort = off SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT e.seq, e.tail, e.tenant, e.number, e.time, e.revision, e.type, e.targets, e.data, e.key, e.fingerprint, e.previous, e.metadata, e.ordering
  FROM (SELECT * FROM grapnel.events AS all_of WHERE all_of.seq >= _from AND all_of.seq < _before ORDER BY all_of.seq LIMIT _scan) AS e
  WHERE e.parts & _parts <> 0
    -- OFFSET 0: asked for each event by itself, instead of being read for all of them first
    AND NOT EXISTS (SELECT FROM grapnel.attempts AS a WHERE a.endpoint = _endpoint AND a.event = e.seq OFFSET 0)
    AND NOT EXISTS (SELECT FROM grapnel.deliveries AS d WHERE d.endpoint = _endpoint AND d.event = e.seq OFFSET 0)
  ORDER BY e.seq LIMIT _limit;
END $$;

-- detach1 takes a unit's tables out of the log, and gives them names that a unit in the
-- same place would not have: they are counted and dropped afterwards, which may take
-- long. It finds nothing where another node is at it.
CREATE FUNCTION grapnel.detach1(_first bigint, _open bigint, OUT detached boolean) LANGUAGE plpgsql AS $$
DECLARE
  _table text;
BEGIN
  PERFORM pg_advisory_xact_lock(1198678382, 1);
  PERFORM FROM grapnel.units AS u WHERE u.first = _first FOR UPDATE SKIP LOCKED;
  detached := FOUND AND NOT EXISTS (SELECT FROM grapnel.gone AS g WHERE g.first = _first);
  IF NOT detached THEN
    RETURN;
  END IF;
  LOCK TABLE ONLY grapnel.events, ONLY grapnel.attempts, ONLY grapnel.deliveries, ONLY grapnel.bodies IN ACCESS EXCLUSIVE MODE;
  FOREACH _table IN ARRAY ARRAY['events', 'attempts', 'deliveries', 'bodies'] LOOP
    EXECUTE format('ALTER TABLE grapnel.%I DETACH PARTITION grapnel.%I', _table, _table || '_' || _first);
    EXECUTE format('ALTER TABLE grapnel.%I RENAME TO %I', _table || '_' || _first, 'gone_' || _table || '_' || _first);
  END LOOP;
  INSERT INTO grapnel.gone (first, until, open, events) SELECT u.first, u.until, _open, u.events FROM grapnel.units AS u WHERE u.first = _first;
  DELETE FROM grapnel.units AS u WHERE u.first = _first;
END $$;

-- counted1 keeps what ended with a unit that is out of the log. The head's row, which
-- appends wait for, comes last.
CREATE FUNCTION grapnel.counted1(_first bigint, _events bigint, _expired bigint, _endpoints bigint[], _counts bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE grapnel.gone AS g SET counted = true WHERE g.first = _first;
  INSERT INTO grapnel.expired AS x (endpoint, count) SELECT * FROM unnest(_endpoints, _counts)
  ON CONFLICT (endpoint) DO UPDATE SET count = x.count + excluded.count;
  UPDATE grapnel.head SET events = events - _events, expired = expired + _expired;
END $$;

-- dropped1 drops the tables of a unit that was counted, unless another node is at it.
-- It does not wait long for whoever reads them, as a dump does.
CREATE FUNCTION grapnel.dropped1(_first bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  _table text;
BEGIN
  PERFORM FROM grapnel.gone AS g WHERE g.first = _first AND g.counted FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  PERFORM set_config('lock_timeout', '1s', true);
  FOREACH _table IN ARRAY ARRAY['events', 'attempts', 'deliveries', 'bodies'] LOOP
    EXECUTE format('DROP TABLE grapnel.%I', 'gone_' || _table || '_' || _first);
  END LOOP;
  DELETE FROM grapnel.gone AS g WHERE g.first = _first;
END $$;

-- kept1 keeps the audit log as it was written: its rows can go, once they are old, but
-- not become others.
CREATE FUNCTION grapnel.kept1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'entries of the audit log are never changed';
END $$;
CREATE TRIGGER kept BEFORE UPDATE ON grapnel.audit FOR EACH STATEMENT EXECUTE FUNCTION grapnel.kept1();
