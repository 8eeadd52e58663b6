"""What the relay says to PostgreSQL."""

# Two kinds of rows may go out: those that wait for their turn only, walked from the shard's mark on, and those whose
# time has come (scheduled ones, and retries). A failed event holds back the later ones of its aggregate, whether its
# own time has come or not, until it is confirmed or parked. The outer LIMIT stops the walk as soon as a batch is full.
FETCH = """
SELECT p.shard, p.id, p.attempts, e.event_id, e.event_type, e.exchange, e.routing_key, e.aggregate_id, e.body,
    e.headers, e.correlation_id, e.created_at
FROM (
    SELECT turn.* FROM unnest($1::smallint[], $2::bigint[]) AS owned(shard, low)
    CROSS JOIN LATERAL (
        (
            SELECT w.shard, w.id, w.created_at, w.attempts FROM {schema}.outbox_pending w
            WHERE w.shard = owned.shard AND w.due_at <= now() AND NOT EXISTS (
                SELECT FROM {schema}.outbox_pending f
                WHERE f.aggregate_id = w.aggregate_id AND f.attempts > 0 AND f.id < w.id)
            ORDER BY w.due_at LIMIT $3
        )
        UNION ALL
        (
            SELECT w.shard, w.id, w.created_at, w.attempts FROM {schema}.outbox_pending w
            WHERE w.shard = owned.shard AND w.id > owned.low AND w.due_at IS NULL AND NOT EXISTS (
                SELECT FROM {schema}.outbox_pending f
                WHERE f.aggregate_id = w.aggregate_id AND f.attempts > 0 AND f.id < w.id)
            ORDER BY w.id LIMIT $3
        )
    ) turn
    LIMIT $3
) p
JOIN {schema}.outbox_event e ON e.id = p.id AND e.created_at = p.created_at
ORDER BY p.id
"""

FIRST_PENDING = """
SELECT owned.shard, (
    SELECT w.id FROM {schema}.outbox_pending w
    WHERE w.shard = owned.shard AND w.id > owned.low AND w.due_at IS NULL ORDER BY w.id LIMIT 1
) AS first
FROM unnest($1::smallint[], $2::bigint[]) AS owned(shard, low)
"""

LAST_ID = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.outbox_event_id_seq"

# Whoever has inserted an event holds this lock until its transaction ends.
WRITERS = """
SELECT virtualtransaction FROM pg_catalog.pg_locks
WHERE locktype = 'relation' AND relation = $1::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
"""

LOCK_KEYS = "SELECT pg_advisory_lock_shared(key) FROM unnest($1::bigint[]) AS key"
UNLOCK_KEYS = "SELECT pg_advisory_unlock_shared(key) FROM unnest($1::bigint[]) AS key"

DELETE = """
DELETE FROM {schema}.outbox_pending p USING unnest($1::smallint[], $2::bigint[]) AS gone(shard, id)
WHERE p.shard = gone.shard AND p.id = gone.id
"""

POSTPONE = """
UPDATE {schema}.outbox_pending
SET attempts = attempts + 1, due_at = now() + make_interval(secs => $3), last_error = $4
WHERE shard = $1 AND id = $2
"""

PARK = """
WITH gone AS (DELETE FROM {schema}.outbox_pending WHERE shard = $1 AND id = $2 RETURNING *)
INSERT INTO {schema}.outbox_parked (id, shard, created_at, aggregate_id, attempts, last_error)
SELECT id, shard, created_at, aggregate_id, attempts + 1, $3 FROM gone
ON CONFLICT (id) DO NOTHING
"""

BACKLOG = """
SELECT count(*) AS depth,
    coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE due_at IS NULL OR attempts > 0)), 0)
        AS oldest_seconds,
    (SELECT count(*) FROM {schema}.outbox_parked) AS parked
FROM {schema}.outbox_pending
"""

ENSURE_PARTITIONS = "SELECT {schema}.outbox_ensure_partitions($1)"
DROP_PARTITIONS = "SELECT {schema}.outbox_drop_partitions($1)"
