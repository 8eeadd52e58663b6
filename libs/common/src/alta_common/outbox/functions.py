"""The functions of an outbox inside PostgreSQL."""

from alta_common.db.names import in_schema


def create_functions(schema: str, shards: int) -> list[str]:
    """Return the statements that create or replace them. What the relay may call runs with its owner's rights."""
    statements = [
        _FILL_PENDING,
        _REFUSE_CHANGE,
        _DAY_WAITS,
        _ENSURE_PARTITIONS,
        _DROP_PARTITIONS,
        _REPLAY,
        *(
            f"REVOKE ALL ON FUNCTION {{schema}}.{signature} FROM PUBLIC"
            for signature in (
                "outbox_day_waits(date)",
                "outbox_ensure_partitions(integer)",
                "outbox_drop_partitions(integer)",
                "outbox_replay(bigint[])",
            )
        ),
    ]
    return [in_schema(statement, schema).replace("{shards}", str(shards)) for statement in statements]


_FILL_PENDING = """
CREATE OR REPLACE FUNCTION {schema}.outbox_fill_pending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.outbox_pending (shard, id, created_at, aggregate_id, due_at)
    SELECT shard, id, created_at, aggregate_id, deliver_at FROM added;
    RETURN NULL;
END $$
"""

# Only a day that is over may be moved out of the default partition, by the function that makes its own.
_REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION {schema}.outbox_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'outbox_event_default'
        AND current_setting('alta_outbox.moves_a_day', true) = 'on'
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'outbox_event is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""

# Whether anything of a day still waits for the broker or for a person. No event of a day has a higher id than the last
# one in its partition; so even while a million wait, the index leads to the few that may be meant.
_DAY_WAITS = """
CREATE OR REPLACE FUNCTION {schema}.outbox_day_waits(day date) RETURNS boolean
LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    last bigint := (SELECT max(id) FROM {schema}.outbox_event WHERE created_at >= day AND created_at < day + 1);
BEGIN
    RETURN EXISTS (SELECT FROM generate_series(0, {shards} - 1) AS own(shard)
            JOIN {schema}.outbox_pending p ON p.shard = own.shard AND p.id <= last
            WHERE p.created_at >= day AND p.created_at < day + 1)
        OR EXISTS (SELECT FROM {schema}.outbox_parked p
            WHERE p.id <= last AND p.created_at >= day AND p.created_at < day + 1);
END $$
"""

# A new partition is made beside the table and then attached: CREATE … PARTITION OF would lock out every writer. Days
# are those of UTC. What could not be locked at once is left for the next time, for whoever comes meanwhile queues
# behind the one who waits.
#
# Rows that were written while their day had no partition lie in the default one. A day that is over is moved into a
# partition of its own, so that it can be dropped like all others; one day a call, for it may be long. Today's rows stay
# until then. Today is also the only day that is attached while it may be written to: writers wait at the table,
# because one that had chosen the default partition already would be refused there.
_ENSURE_PARTITIONS = """
CREATE OR REPLACE FUNCTION {schema}.outbox_ensure_partitions(days_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
SET lock_timeout = '100ms' AS $$
DECLARE
    today date := CURRENT_DATE;
    wanted date;
    partition text;
    made integer := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('{schema}.outbox_partitions')) THEN
        RETURN 0;
    END IF;
    FOREACH wanted IN ARRAY array(
        SELECT min(created_at)::date FROM {schema}.outbox_event_default WHERE created_at < today HAVING count(*) > 0
    ) || array(SELECT today + ahead FROM generate_series(days_ahead, 0, -1) AS ahead) LOOP
        partition := 'outbox_event_' || to_char(wanted, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('{schema}.' || partition) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE {schema}.%I (LIKE {schema}.outbox_event INCLUDING DEFAULTS '
                'INCLUDING CONSTRAINTS INCLUDING INDEXES)', partition);
            IF wanted < today THEN
                PERFORM set_config('alta_outbox.moves_a_day', 'on', true);
                EXECUTE format('WITH moved AS (DELETE FROM {schema}.outbox_event_default WHERE created_at < %L '
                    'RETURNING *) INSERT INTO {schema}.%I SELECT * FROM moved', wanted + 1, partition);
                PERFORM set_config('alta_outbox.moves_a_day', 'off', true);
            ELSIF wanted = today THEN
                LOCK TABLE ONLY {schema}.outbox_event IN SHARE ROW EXCLUSIVE MODE;
            END IF;
            EXECUTE format('ALTER TABLE {schema}.outbox_event ATTACH PARTITION {schema}.%I '
                'FOR VALUES FROM (%L) TO (%L)', partition, wanted, wanted + 1);
            made := made + 1;
        EXCEPTION WHEN check_violation OR lock_not_available THEN
            RAISE WARNING 'outbox partition % was not made: %', partition, SQLERRM;
        END;
    END LOOP;
    RETURN made;
END $$
"""

# A day goes only when nothing of it waits any more. That is asked under the lock that dropping needs: a replay that was
# about to put an event of the day back in line has committed by then, or finds the day gone. That lock keeps out
# everybody, and whoever comes while it is waited for waits too; so it is not waited for long, and a partition that
# somebody reads is passed over at once. The next time will do. (DETACH … CONCURRENTLY is not for tables that have a
# default partition.)
_DROP_PARTITIONS = """
CREATE OR REPLACE FUNCTION {schema}.outbox_drop_partitions(days_kept integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
SET lock_timeout = '100ms' AS $$
DECLARE
    child record;
    dropped integer := 0;
BEGIN
    IF days_kept < 1 THEN
        RAISE EXCEPTION 'at least one day is kept';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtext('{schema}.outbox_partitions')) THEN
        RETURN 0;
    END IF;
    FOR child IN
        SELECT c.relname, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = '{schema}.outbox_event'::regclass AND c.relname ~ '^outbox_event_[0-9]{8}$'
          AND right(c.relname, 8) < to_char(CURRENT_DATE - days_kept, 'YYYYMMDD')
        ORDER BY c.relname
    LOOP
        CONTINUE WHEN {schema}.outbox_day_waits(child.day);
        BEGIN
            LOCK TABLE ONLY {schema}.outbox_event IN ACCESS EXCLUSIVE MODE;
        EXCEPTION WHEN lock_not_available THEN
            RAISE WARNING 'outbox partition % was not dropped: %', child.relname, SQLERRM;
            RETURN dropped;
        END;
        BEGIN
            EXECUTE format('LOCK TABLE {schema}.%I IN ACCESS EXCLUSIVE MODE NOWAIT', child.relname);
            CONTINUE WHEN {schema}.outbox_day_waits(child.day);
            EXECUTE format('DROP TABLE {schema}.%I', child.relname);
            dropped := dropped + 1;
        EXCEPTION WHEN lock_not_available THEN
            RAISE WARNING 'outbox partition % was not dropped: %', child.relname, SQLERRM;
        END;
    END LOOP;
    RETURN dropped;
END $$
"""

# An event that was published or parked is put back in line. It has an old id, which relays no longer look at: the
# notification tells them to look again, and from which on. (Here NOTIFY may ride in the transaction: no business
# writer runs this.)
_REPLAY = """
CREATE OR REPLACE FUNCTION {schema}.outbox_replay(ids bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    put_back integer;
BEGIN
    DELETE FROM {schema}.outbox_parked WHERE id = ANY (ids);
    INSERT INTO {schema}.outbox_pending (shard, id, created_at, aggregate_id)
    SELECT shard, id, created_at, aggregate_id FROM {schema}.outbox_event WHERE id = ANY (ids)
    ON CONFLICT (shard, id) DO NOTHING;
    GET DIAGNOSTICS put_back = ROW_COUNT;
    PERFORM pg_notify('alta_outbox', '{schema}/replay' || coalesce('/' || (SELECT min(id) FROM unnest(ids) AS id), ''));
    RETURN put_back;
END $$
"""
