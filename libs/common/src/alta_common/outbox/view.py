"""The view that shows the life of events: PENDING, PROCESSING, COMPLETED, FAILED, PARKED."""

from alta_common.db.names import in_schema

_COMMENT = (
    "The life of every event that is kept. PENDING: waits for a relay, or for its delivery time. PROCESSING: a live "
    "relay owns the shard and has fetched the event; it is derived from the advisory locks that the relay holds for "
    "the shard and for the id it has fetched up to, so it ends with the relay and nothing is written for it. FAILED: "
    "an attempt failed, the next one is due at next_attempt_at. PARKED: given up until a person replays it. "
    "COMPLETED: the broker has confirmed it."
)


def create_view(schema: str, lock_class: int) -> list[str]:
    """Return the statements that create `outbox_events`."""
    return [
        in_schema(_VIEW, schema).replace("{class}", str(lock_class)),
        in_schema("COMMENT ON VIEW {schema}.outbox_events IS ", schema) + f"'{_COMMENT}'",
    ]


_VIEW = """
CREATE VIEW {schema}.outbox_events AS
WITH fetched AS MATERIALIZED (
    SELECT owner.objid::bigint AS shard, max(mark.objid::bigint) AS id
    FROM pg_catalog.pg_locks owner
    JOIN pg_catalog.pg_locks mark ON mark.pid = owner.pid AND mark.database = owner.database
    WHERE owner.locktype = 'advisory' AND owner.objsubid = 2 AND owner.mode = 'ExclusiveLock'
      AND owner.granted AND owner.classid::bigint = {class}
      AND owner.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND mark.locktype = 'advisory' AND mark.objsubid = 1 AND mark.mode = 'ShareLock' AND mark.granted
      AND mark.classid::bigint = {class} + owner.objid::bigint
    GROUP BY owner.objid
)
SELECT e.id, e.event_id, e.event_type, e.exchange, e.routing_key, e.aggregate_type, e.aggregate_id, e.shard,
    e.correlation_id, e.created_at, e.deliver_at,
    CASE
        WHEN x.id IS NOT NULL THEN 'PARKED'
        WHEN p.id IS NULL THEN 'COMPLETED'
        WHEN p.id & 4294967295 <= f.id AND (p.due_at IS NULL OR p.due_at <= now()) THEN 'PROCESSING'
        WHEN p.attempts > 0 THEN 'FAILED'
        ELSE 'PENDING'
    END AS status,
    coalesce(x.attempts, p.attempts, 0) AS attempts,
    CASE WHEN p.attempts > 0 THEN p.due_at END AS next_attempt_at,
    coalesce(x.last_error, p.last_error) AS last_error,
    x.parked_at
FROM {schema}.outbox_event e
LEFT JOIN {schema}.outbox_pending p ON p.shard = e.shard AND p.id = e.id
LEFT JOIN {schema}.outbox_parked x ON x.id = e.id
LEFT JOIN fetched f ON f.shard = e.shard
"""
