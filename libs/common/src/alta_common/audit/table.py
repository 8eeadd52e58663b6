"""The tables of an audit trail, as single statements for a migration."""

from alta_common.db.names import checked_identifier, in_schema


def create_audit(schema: str) -> list[str]:
    """Return the statements that create `audit_log` (append-only) and `audit_head` (the end of each chain)."""
    return [in_schema(statement, schema) for statement in _STATEMENTS]


def grant_recording(schema: str, role: str) -> list[str]:
    """Return the statements that let `role`, when it exists, append to the trail of `schema`, and no more."""
    return [_to_role(schema, role, "GRANT", "TO")]


def revoke_recording(schema: str, role: str) -> list[str]:
    """Return the statements that take that away."""
    return [_to_role(schema, role, "REVOKE", "FROM")]


def _to_role(schema: str, role: str, verb: str, preposition: str) -> str:
    checked_identifier(role)
    return in_schema(
        f"""
        DO $grants$ BEGIN
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                {verb} INSERT ON {{schema}}.audit_log {preposition} {role};
                {verb} SELECT, INSERT, UPDATE ON {{schema}}.audit_head {preposition} {role};
            END IF;
        END $grants$
        """,
        schema,
    )


_STATEMENTS = (
    # `json`, not `jsonb`: the hash is over the values as they were written, and `jsonb` rewrites numbers.
    """
    CREATE TABLE {schema}.audit_log (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        stream uuid NOT NULL,
        seq bigint NOT NULL,
        occurred_at timestamptz NOT NULL,
        actor_id uuid,
        action text NOT NULL,
        subject_type text NOT NULL,
        subject_id uuid,
        details json NOT NULL,
        request_id text,
        trace_id text,
        client_address text,
        hash bytea NOT NULL,
        UNIQUE (stream, seq)
    )
    """,
    "CREATE INDEX audit_log_actor ON {schema}.audit_log (actor_id, id)",
    """
    CREATE TABLE {schema}.audit_head (
        stream uuid PRIMARY KEY,
        seq bigint NOT NULL,
        hash bytea NOT NULL
    )
    """,
    """
    CREATE FUNCTION {schema}.audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'audit_log is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
    END $$
    """,
    """
    CREATE TRIGGER audit_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.audit_refuse_change()
    """,
)
