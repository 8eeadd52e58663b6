"""The tables of an outbox, as single statements for a migration (`op.execute` and asyncpg run one at a time).

- `outbox_event`: immutable, a partition a day. Retention drops a partition.
- `outbox_pending`: narrow; a row per event that is still to be published, gone once the broker has confirmed it.
- `outbox_parked`: what was given up on and needs a person.
- `outbox_events`: the view that operators read; it derives the state and costs the writing path nothing.

The shard of an event is a hash of its aggregate, so all events of one aggregate have the same owner among the relays.
"""

from alta_common.db.names import checked_identifier
from alta_common.outbox.functions import create_functions
from alta_common.outbox.locks import lock_class
from alta_common.outbox.view import create_view

SHARDS = 16


def create_outbox(schema: str, relay_role: str) -> list[str]:
    """Return the statements that create the outbox of `schema` and grant it to `relay_role` when that role exists."""
    checked_identifier(schema)
    return [
        *_tables(schema),
        *create_functions(schema, SHARDS),
        *_triggers(schema),
        f"SELECT {schema}.outbox_ensure_partitions(7)",
        *create_view(schema, lock_class(schema)),
        *_grants(schema, checked_identifier(relay_role)),
    ]


def drop_outbox(schema: str) -> list[str]:
    """Return the statements that remove it all again (for a migration's downgrade)."""
    checked_identifier(schema)
    return [
        f"DROP VIEW IF EXISTS {schema}.outbox_events",
        f"DROP TABLE IF EXISTS {schema}.outbox_pending, {schema}.outbox_parked, {schema}.outbox_event CASCADE",
        f"DROP SEQUENCE IF EXISTS {schema}.outbox_event_id_seq",
        f"""
        DROP FUNCTION IF EXISTS {schema}.outbox_fill_pending, {schema}.outbox_refuse_change,
            {schema}.outbox_ensure_partitions, {schema}.outbox_drop_partitions, {schema}.outbox_day_waits,
            {schema}.outbox_replay
        """,
    ]


def _tables(schema: str) -> list[str]:
    return [
        # A sequence that hands out one id at a time: with a cache, a later transaction could get an earlier id.
        f"CREATE SEQUENCE {schema}.outbox_event_id_seq AS bigint CACHE 1",
        f"""
        CREATE TABLE {schema}.outbox_event (
            id bigint NOT NULL DEFAULT nextval('{schema}.outbox_event_id_seq'),
            event_id uuid NOT NULL,
            event_type text NOT NULL,
            exchange text NOT NULL,
            routing_key text NOT NULL,
            aggregate_type text NOT NULL,
            aggregate_id uuid NOT NULL,
            shard smallint NOT NULL CHECK (shard >= 0 AND shard < {SHARDS}),
            body bytea NOT NULL,
            headers jsonb NOT NULL,
            correlation_id text,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            deliver_at timestamptz,
            PRIMARY KEY (id, created_at)
        ) PARTITION BY RANGE (created_at)
        """,
        f"CREATE TABLE {schema}.outbox_event_default PARTITION OF {schema}.outbox_event DEFAULT",
        f"""
        CREATE TABLE {schema}.outbox_pending (
            shard smallint NOT NULL,
            id bigint NOT NULL,
            created_at timestamptz NOT NULL,
            aggregate_id uuid NOT NULL,
            attempts smallint NOT NULL DEFAULT 0,
            due_at timestamptz,
            last_error text,
            PRIMARY KEY (shard, id)
        ) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000)
        """,
        f"""
        COMMENT ON COLUMN {schema}.outbox_pending.due_at IS
        'Not before this moment, the delivery time asked for or, after a failure, the next attempt. Null is at once.'
        """,
        # Both are empty but for what is scheduled or failing, so they cost the usual event nothing.
        f"CREATE INDEX outbox_pending_due ON {schema}.outbox_pending (shard, due_at) WHERE due_at IS NOT NULL",
        f"CREATE INDEX outbox_pending_failed ON {schema}.outbox_pending (aggregate_id, id) WHERE attempts > 0",
        f"""
        CREATE TABLE {schema}.outbox_parked (
            id bigint PRIMARY KEY,
            shard smallint NOT NULL,
            created_at timestamptz NOT NULL,
            aggregate_id uuid NOT NULL,
            attempts smallint NOT NULL,
            last_error text NOT NULL,
            parked_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """,
    ]


def _triggers(schema: str) -> list[str]:
    return [
        f"""
        CREATE TRIGGER outbox_fill_pending AFTER INSERT ON {schema}.outbox_event
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION {schema}.outbox_fill_pending()
        """,
        f"""
        CREATE TRIGGER outbox_refuse_change BEFORE UPDATE OR DELETE ON {schema}.outbox_event
        FOR EACH ROW EXECUTE FUNCTION {schema}.outbox_refuse_change()
        """,
        f"""
        CREATE TRIGGER outbox_refuse_truncate BEFORE TRUNCATE ON {schema}.outbox_event
        FOR EACH STATEMENT EXECUTE FUNCTION {schema}.outbox_refuse_change()
        """,
    ]


def _grants(schema: str, role: str) -> list[str]:
    granted = (
        f"GRANT USAGE ON SCHEMA {schema} TO {role};"
        f"GRANT SELECT ON {schema}.outbox_event, {schema}.outbox_events, {schema}.outbox_event_id_seq TO {role};"
        f"GRANT SELECT, DELETE, UPDATE (attempts, due_at, last_error) ON {schema}.outbox_pending TO {role};"
        f"GRANT SELECT, INSERT ON {schema}.outbox_parked TO {role};"
        f"GRANT EXECUTE ON FUNCTION {schema}.outbox_ensure_partitions(integer), "
        f"{schema}.outbox_drop_partitions(integer), {schema}.outbox_replay(bigint[]) TO {role};"
    )
    return [
        f"""
        DO $grants$ BEGIN
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN {granted} END IF;
        END $grants$
        """
    ]
