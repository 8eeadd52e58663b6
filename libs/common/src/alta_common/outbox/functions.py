"""The functions of an outbox inside PostgreSQL."""

from alta_common.db.names import in_schema


def create_functions(schema: str) -> list[str]:
    """Return the statements that create them. Those that the relay may call run with their owner's rights."""
    statements = [
        _FILL_PENDING,
        _REFUSE_CHANGE,
        _ENSURE_PARTITIONS,
        _DROP_PARTITIONS,
        _REPLAY,
        *(
            f"REVOKE ALL ON FUNCTION {{schema}}.{signature} FROM PUBLIC"
            for signature in (
                "outbox_ensure_partitions(integer)",
                "outbox_drop_partitions(integer)",
                "outbox_replay(bigint[])",
            )
        ),
    ]
    return [in_schema(statement, schema) for statement in statements]


_FILL_PENDING = """
CREATE FUNCTION {schema}.outbox_fill_pending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.outbox_pending (shard, id, created_at, aggregate_id, due_at)
    SELECT shard, id, created_at, aggregate_id, deliver_at FROM added;
    RETURN NULL;
END $$
"""

_REFUSE_CHANGE = """
CREATE FUNCTION {schema}.outbox_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'outbox_event is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""

# A new partition is made beside the table and then attached: CREATE … PARTITION OF would lock out every writer. Days
# are those of UTC. A day whose rows already lie in the default partition stays there; the next one is tried again.
_ENSURE_PARTITIONS = """
CREATE FUNCTION {schema}.outbox_ensure_partitions(days_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
SET lock_timeout = '2s' AS $$
DECLARE
    today date := CURRENT_DATE;
    wanted date;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('{schema}.outbox_partitions'));
    FOR offset_days IN 0 .. days_ahead LOOP
        wanted := today + offset_days;
        partition := 'outbox_event_' || to_char(wanted, 'YYYYMMDD');
        IF to_regclass('{schema}.' || partition) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE {schema}.%I (LIKE {schema}.outbox_event INCLUDING DEFAULTS '
                    'INCLUDING CONSTRAINTS INCLUDING INDEXES)', partition);
                EXECUTE format('ALTER TABLE {schema}.outbox_event ATTACH PARTITION {schema}.%I '
                    'FOR VALUES FROM (%L) TO (%L)', partition, wanted, wanted + 1);
                made := made + 1;
            EXCEPTION WHEN check_violation OR lock_not_available THEN
                RAISE WARNING 'outbox partition % was not made: %', partition, SQLERRM;
            END;
        END IF;
    END LOOP;
    RETURN made;
END $$
"""

# A day goes only when nothing of it still waits for the broker or for a person.
_DROP_PARTITIONS = """
CREATE FUNCTION {schema}.outbox_drop_partitions(days_kept integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
SET lock_timeout = '2s' AS $$
DECLARE
    child record;
    first_moment timestamptz;
    dropped integer := 0;
BEGIN
    IF days_kept < 1 THEN
        RAISE EXCEPTION 'at least one day is kept';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('{schema}.outbox_partitions'));
    FOR child IN
        SELECT c.relname, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = '{schema}.outbox_event'::regclass AND c.relname ~ '^outbox_event_[0-9]{8}$'
    LOOP
        first_moment := child.day;
        CONTINUE WHEN child.day >= CURRENT_DATE - days_kept;
        CONTINUE WHEN EXISTS (SELECT FROM {schema}.outbox_pending p
            WHERE p.created_at >= first_moment AND p.created_at < first_moment + interval '1 day');
        CONTINUE WHEN EXISTS (SELECT FROM {schema}.outbox_parked p
            WHERE p.created_at >= first_moment AND p.created_at < first_moment + interval '1 day');
        EXECUTE format('DROP TABLE {schema}.%I', child.relname);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$
"""

# An event that was published or parked is put back in line. It has an old id, which relays no longer look at: the
# notification tells them to look again. (Here NOTIFY may ride in the transaction: no business writer runs this.)
_REPLAY = """
CREATE FUNCTION {schema}.outbox_replay(ids bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    put_back integer;
BEGIN
    DELETE FROM {schema}.outbox_parked WHERE id = ANY (ids);
    INSERT INTO {schema}.outbox_pending (shard, id, created_at, aggregate_id)
    SELECT shard, id, created_at, aggregate_id FROM {schema}.outbox_event WHERE id = ANY (ids)
    ON CONFLICT (shard, id) DO NOTHING;
    GET DIAGNOSTICS put_back = ROW_COUNT;
    PERFORM pg_notify('alta_outbox', '{schema}/replay');
    RETURN put_back;
END $$
"""
