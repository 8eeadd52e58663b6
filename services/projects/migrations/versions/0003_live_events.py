"""Live events: every change of an item, in the order in which changes became true."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from alta_common.db.names import in_schema
from alta_projects.settings import SCHEMA

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The trigger is deferred: it numbers events while the transaction commits, holding the project's head until that is
# done. So who has seen number 7 has seen all up to it, and the head is the last lock that any transaction takes.
_RECORD = """
CREATE FUNCTION {schema}.live_event_record() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    item {schema}.media_item := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    fact text := item.status;
    next_number bigint;
BEGIN
    IF TG_OP = 'DELETE' THEN
        fact := 'deleted';
    ELSIF TG_OP = 'UPDATE' THEN
        IF NEW.version = OLD.version THEN
            RETURN NULL;
        ELSIF NEW.status = OLD.status AND NEW.attempt = OLD.attempt THEN
            fact := CASE WHEN (NEW.progress_done, NEW.progress_total) IS DISTINCT FROM
                (OLD.progress_done, OLD.progress_total) THEN 'progress' ELSE 'updated' END;
        END IF;
    END IF;
    INSERT INTO {schema}.live_head AS head (project_id, number) VALUES (item.project_id, 1)
        ON CONFLICT (project_id) DO UPDATE SET number = head.number + 1 RETURNING number INTO next_number;
    INSERT INTO {schema}.live_event (project_id, number, name, item, created_at)
        VALUES (item.project_id, next_number, item.kind || '.' || fact, to_jsonb(item), clock_timestamp());
    RETURN NULL;
END $$
"""
_TRIGGER = """
CREATE CONSTRAINT TRIGGER live_event_record AFTER INSERT OR UPDATE OR DELETE ON {schema}.media_item
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.live_event_record()
"""


def upgrade() -> None:
    op.create_table(
        "live_head",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="pk_live_head"),
        _of_project("live_head"),
        schema=SCHEMA,
    )
    op.create_table(
        "live_event",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("item", JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "number", name="pk_live_event"),
        _of_project("live_event"),
        schema=SCHEMA,
    )
    op.create_index("ix_live_event_created_at", "live_event", ["created_at"], schema=SCHEMA)
    for statement in (_RECORD, _TRIGGER):
        op.execute(in_schema(statement, SCHEMA))


def downgrade() -> None:
    op.execute(f"DROP TRIGGER live_event_record ON {SCHEMA}.media_item")
    op.execute(f"DROP FUNCTION {SCHEMA}.live_event_record")
    for table in ("live_event", "live_head"):
        op.drop_table(table, schema=SCHEMA)


def _of_project(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_project_id_project"
    return sa.ForeignKeyConstraint(["project_id"], [f"{SCHEMA}.project.id"], name=name, ondelete="CASCADE")
