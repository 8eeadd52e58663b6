"""What the relay says to PostgreSQL.

OFFSET 0 keeps the planner from turning a join around: the pending table's statistics are those of an empty table when
they were gathered at a quiet moment, and then crossing all of it for each of 500 rows looks cheap. (In an `EXISTS` it
keeps that from becoming a join.)

A failed event holds back the later ones of its aggregate, whether its own time has come or not, until it is confirmed
or parked. The index behind that `NOT EXISTS` is empty but for what is failing. (To ask once a statement whether it is
would save a microsecond an event, and cross all that has failed and cannot be vacuumed away each time.)
"""

_NOT_HELD = """NOT EXISTS (SELECT FROM {schema}.outbox_pending f
        WHERE f.aggregate_id = p.aggregate_id AND f.attempts > 0 AND f.id < p.id OFFSET 0)"""

# An event that is gone (somebody dropped its partition) still has its place in line, and shows by its empty exchange.
# So does one from outside the two moments. Between them lie a day or two: to get the partitions of a month ready costs
# more than to read the few rows that a wake-up is about.
_EVENTS = """
SELECT '{schema}' AS schema, w.shard, w.id, w.attempts, e.event_id, e.event_type, coalesce(e.exchange, '') AS exchange,
    e.routing_key, e.aggregate_type, w.aggregate_id, coalesce(e.body, '') AS body, e.headers, e.correlation_id,
    w.created_at
FROM (
    SELECT o.shard, o.after, o.wanted, o.known::bigint[] AS known, o.has_due
    FROM unnest($1::smallint[], $2::bigint[], $3::integer[], $4::text[], $5::boolean[])
        AS o(shard, after, wanted, known, has_due) OFFSET 0
) owned
CROSS JOIN LATERAL ({line}) w
LEFT JOIN LATERAL (
    SELECT * FROM {schema}.outbox_event e
    WHERE e.id = w.id AND e.created_at = w.created_at AND e.created_at >= $6 AND e.created_at < $7 OFFSET 0
) e ON true
"""

_WAITING = """
    SELECT p.shard, p.id, p.created_at, p.aggregate_id, p.attempts FROM {schema}.outbox_pending p
    WHERE p.shard = owned.shard AND p.id > owned.after AND p.due_at IS NULL AND p.id <> ALL (owned.known)
      AND {not_held}
    ORDER BY p.id LIMIT owned.wanted
""".replace("{not_held}", _NOT_HELD)

# What is due has its place in line by its id, not by its time; so all of it is sorted, and then looked through.
_DUE = """
    SELECT p.* FROM (
        SELECT d.* FROM (
            SELECT q.shard, q.id, q.created_at, q.aggregate_id, q.attempts FROM {schema}.outbox_pending q
            WHERE q.shard = owned.shard AND q.due_at <= now() AND q.id <> ALL (owned.known) ORDER BY q.due_at OFFSET 0
        ) d ORDER BY d.id OFFSET 0
    ) p
    WHERE {not_held}
    LIMIT CASE WHEN owned.has_due THEN owned.wanted ELSE 0 END
""".replace("{not_held}", _NOT_HELD)

# What waits for nothing but its turn, of each shard from a place of its own on, in the order of ids.
FETCH = _EVENTS.replace("{line}", _WAITING)

# The same, and in the same line what is due (delivery times, retries), wherever its place is.
_LINE = "SELECT * FROM (({waiting}) UNION ALL ({due})) line ORDER BY line.id LIMIT owned.wanted"
FETCH_DUE = _EVENTS.replace("{line}", _LINE.replace("{waiting}", _WAITING).replace("{due}", _DUE))

# Only the ids of what may go out: of what waits for its turn, and of what is due; and when the next one will be.
LOOK = """
SELECT w.shard, w.id, w.due_in
FROM unnest($1::smallint[], $2::bigint[], $3::integer[], $4::integer[]) AS owned(shard, after, wanted, wanted_due)
CROSS JOIN LATERAL (
    (
        SELECT p.shard, p.id, NULL::float8 AS due_in FROM {schema}.outbox_pending p
        WHERE p.shard = owned.shard AND p.id > owned.after AND p.due_at IS NULL
          AND {not_held}
        ORDER BY p.id LIMIT owned.wanted
    )
    UNION ALL
    (
        SELECT p.shard, p.id, extract(epoch FROM p.due_at - now())::float8 FROM {schema}.outbox_pending p
        WHERE p.shard = owned.shard AND p.due_at <= now()
          AND {not_held}
        ORDER BY p.due_at LIMIT owned.wanted_due
    )
    UNION ALL
    (
        SELECT p.shard, p.id, extract(epoch FROM p.due_at - now())::float8 FROM {schema}.outbox_pending p
        WHERE p.shard = owned.shard AND p.due_at > now()
        ORDER BY p.due_at LIMIT 1
    )
) w
""".replace("{not_held}", _NOT_HELD)

FIRST_PENDING = """
SELECT owned.shard, (
    SELECT w.id FROM {schema}.outbox_pending w
    WHERE w.shard = owned.shard AND w.id > owned.low AND w.due_at IS NULL ORDER BY w.id LIMIT 1
) AS first
FROM unnest($1::smallint[], $2::bigint[]) AS owned(shard, low)
"""

# The last id first, then the writers: who gets a later id is none of our business, who has an earlier one must be seen.
# Whoever has inserted an event holds this lock from before it got its id until its transaction ends.
LAST_ID_AND_WRITERS = """
SELECT last.id, array(
    SELECT l.virtualtransaction FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'relation' AND l.relation = '{schema}.outbox_event'::regclass AND l.mode = 'RowExclusiveLock'
      AND l.granted AND last.id IS NOT NULL
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
) AS writers
FROM (SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS id FROM {schema}.outbox_event_id_seq OFFSET 0) last
"""

# The new keys first: between the two, the view may say too much and never too little.
MOVE_KEYS = """
SELECT pg_advisory_lock_shared(key)::text FROM unnest($1::bigint[]) AS key
UNION ALL
SELECT pg_advisory_unlock_shared(key)::text FROM unnest($2::bigint[]) AS key
"""

# Whether its commit waits for the disk is for each one to say.
DELETE = """
DELETE FROM {schema}.outbox_pending WHERE ctid = ANY (ARRAY(
    SELECT w.ctid FROM (SELECT set_config('synchronous_commit', $3, true) AS mode OFFSET 0) AS commit
    CROSS JOIN unnest($1::smallint[], $2::bigint[]) AS gone(shard, id)
    CROSS JOIN LATERAL (
        SELECT p.ctid FROM {schema}.outbox_pending p WHERE p.shard = gone.shard AND p.id = gone.id OFFSET 0
    ) w WHERE commit.mode = $3
))
"""

POSTPONE = """
UPDATE {schema}.outbox_pending p
SET attempts = p.attempts + 1, due_at = now() + make_interval(secs => failed.seconds), last_error = failed.reason
FROM (
    SELECT w.ctid AS place, f.seconds, f.reason
    FROM unnest($1::smallint[], $2::bigint[], $3::float8[], $4::text[]) AS f(shard, id, seconds, reason)
    CROSS JOIN LATERAL (
        SELECT q.ctid FROM {schema}.outbox_pending q WHERE q.shard = f.shard AND q.id = f.id OFFSET 0
    ) w
) failed
WHERE p.ctid = failed.place
"""

PARK = """
WITH gone AS (
    DELETE FROM {schema}.outbox_pending p USING (
        SELECT w.ctid AS place, f.reason
        FROM unnest($1::smallint[], $2::bigint[], $3::text[]) AS f(shard, id, reason)
        CROSS JOIN LATERAL (
            SELECT q.ctid FROM {schema}.outbox_pending q WHERE q.shard = f.shard AND q.id = f.id OFFSET 0
        ) w
    ) failed
    WHERE p.ctid = failed.place
    RETURNING p.*, failed.reason
)
INSERT INTO {schema}.outbox_parked (id, shard, created_at, aggregate_id, attempts, last_error)
SELECT id, shard, created_at, aggregate_id, attempts + 1, reason FROM gone
ON CONFLICT (id) DO NOTHING
"""

# Counted up to a bound; above it the statistics that autovacuum goes by must do. Ids are not quite in the order of
# time, but the first ones of all shards are close enough to the oldest. What is scheduled should be out when it is due.
BACKLOG = """
WITH counted AS (
    SELECT count(*) AS depth FROM (SELECT FROM {schema}.outbox_pending ORDER BY shard, id LIMIT $1 + 1) few
)
SELECT CASE WHEN depth <= $1 THEN depth ELSE greatest(depth, (
        SELECT pg_stat_get_live_tuples('{schema}.outbox_pending'::regclass))) END AS depth,
    (SELECT count(*) FROM {schema}.outbox_parked) AS parked,
    coalesce((
        SELECT extract(epoch FROM now() - min(first.moment)) FROM generate_series(0, $2::integer - 1) AS s(shard)
        CROSS JOIN LATERAL (
            (
                SELECT p.created_at AS moment FROM {schema}.outbox_pending p
                WHERE p.shard = s.shard AND (p.due_at IS NULL OR p.attempts > 0) ORDER BY p.id LIMIT 1
            )
            UNION ALL
            (
                SELECT p.due_at FROM {schema}.outbox_pending p
                WHERE p.shard = s.shard AND p.due_at <= now() AND p.attempts = 0 ORDER BY p.due_at LIMIT 1
            )
        ) first
    ), 0) AS oldest_seconds
FROM counted
"""

ENSURE_PARTITIONS = "SELECT {schema}.outbox_ensure_partitions($1)"
DROP_PARTITIONS = "SELECT {schema}.outbox_drop_partitions($1)"

# The class after that of an outbox says who has a broker.
LOCKS = """
SELECT pid, objid::integer AS objid, classid::bigint > $1::bigint AS tells_of_broker FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND classid IN ($1::bigint::oid, ($1::bigint + 1)::oid) AND granted
  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
"""
JOIN = "SELECT pg_advisory_lock_shared($1, $2)::text, pg_backend_pid() AS pid"
LEAVE = "SELECT pg_advisory_unlock_shared($1, $2)"
TAKE = "SELECT shard FROM unnest($2::integer[]) AS shard WHERE pg_try_advisory_lock($1, shard)"
GIVE_BACK = "SELECT pg_advisory_unlock($1, shard) FROM unnest($2::integer[]) AS shard"

# A relay speaks four times a second. One that does not (stopped by a signal, swapped out, cut off by a network that
# loses packets) keeps its session, and with it its shards. A statement that runs for long, or waits for a lock, is not
# silence: its relay publishes nothing meanwhile and is ended by nobody. One whose answer nobody reads is, and so is a
# transaction that nobody goes on with.
END_SILENT = """
SELECT a.pid, pg_terminate_backend(a.pid) AS ended FROM pg_catalog.pg_stat_activity a
WHERE a.pid = ANY ($1::integer[]) AND a.pid <> pg_backend_pid() AND a.usename = current_user
  AND a.datname = current_database() AND a.application_name = current_setting('application_name')
  AND a.state_change < clock_timestamp() - make_interval(secs => $2::float8)
  AND (a.state LIKE 'idle%' OR a.wait_event_type = 'Client')
"""
