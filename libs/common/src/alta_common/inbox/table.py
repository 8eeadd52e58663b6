"""The table of an inbox, as single statements for a migration."""

from alta_common.db.names import checked_identifier


def create_inbox(schema: str) -> list[str]:
    """Return the statements that create `inbox` in `schema`."""
    checked_identifier(schema)
    return [
        f"""
        CREATE TABLE {schema}.inbox (
            event_id uuid NOT NULL,
            consumer text NOT NULL,
            handled_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (event_id, consumer)
        )
        """,
        # For forgetting old rows: a broker does not redeliver after weeks.
        f"CREATE INDEX inbox_handled_at ON {schema}.inbox USING brin (handled_at)",
    ]
