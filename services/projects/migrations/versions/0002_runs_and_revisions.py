"""Runs of items: what they are asked for, by when, and every result that they had."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from alta_common.db.names import in_schema
from alta_projects.settings import SCHEMA

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NOW = sa.DateTime(timezone=True)
_IS_WAITING = sa.text("status IN ('queued', 'processing')")
_KEEP_RESULTS = """
INSERT INTO {schema}.result_revision (item_id, revision, attempt, engine, engine_version, language, confidence, pages,
    duration_ms, warnings, result_key, result_sha256, result_bytes, created_at)
SELECT id, revision, attempt, coalesce(engine, ''), coalesce(engine_version, ''), language, confidence, pages,
    duration_ms, warnings, result_key, result_sha256, result_bytes, coalesce(completed_at, updated_at)
FROM {schema}.media_item WHERE result_key IS NOT NULL
"""
_GIVE_DEADLINES = """
UPDATE {schema}.media_item SET deadline_at = now() + interval '24 hours' WHERE status IN ('queued', 'processing')
"""
_KEEP_LANGUAGES = "UPDATE {schema}.media_item SET asked_language = language WHERE status <> 'completed'"


def upgrade() -> None:
    _create_result_revision()
    _extend_media_item()
    op.add_column("member", sa.Column("failures_told_at", _NOW, nullable=True), schema=SCHEMA)


def downgrade() -> None:
    op.drop_column("member", "failures_told_at", schema=SCHEMA)
    op.drop_index("ix_media_item_untold_failure_at", "media_item", schema=SCHEMA)
    op.drop_index("ix_media_item_deadline_at", "media_item", schema=SCHEMA)
    for column in ("untold_failure_at", "asked_language", "asked_engine", "deadline_at"):
        op.drop_column("media_item", column, schema=SCHEMA)
    op.drop_table("result_revision", schema=SCHEMA)


def _create_result_revision() -> None:
    op.create_table(
        "result_revision",
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("engine_version", sa.Text(), nullable=False),
        sa.Column("engine_config_hash", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("pages", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("warnings", JSONB(), nullable=False),
        sa.Column("result_key", sa.Text(), nullable=False),
        sa.Column("result_sha256", sa.Text(), nullable=False),
        sa.Column("result_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _NOW, nullable=False),
        sa.PrimaryKeyConstraint("item_id", "revision", name="pk_result_revision"),
        sa.ForeignKeyConstraint(
            ["item_id"], [f"{SCHEMA}.media_item.id"], name="fk_result_revision_item_id_media_item", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    # Until now an item had one result at the most, and its row says all there is to know of it.
    op.execute(in_schema(_KEEP_RESULTS, SCHEMA))


def _extend_media_item() -> None:
    for name, kind in (
        ("deadline_at", _NOW),
        ("asked_engine", sa.Text()),
        ("asked_language", sa.Text()),
        ("untold_failure_at", _NOW),
    ):
        op.add_column("media_item", sa.Column(name, kind, nullable=True), schema=SCHEMA)
    # What waits now was asked for without a deadline; nothing shall wait for ever.
    op.execute(in_schema(_GIVE_DEADLINES, SCHEMA))
    # Nor what a process of the version before, which does not know of deadlines, takes in while both are running.
    op.alter_column("media_item", "deadline_at", server_default=sa.text("now() + interval '24 hours'"), schema=SCHEMA)
    # Once an item has been read, its column says in which language it was, not which was asked for.
    op.execute(in_schema(_KEEP_LANGUAGES, SCHEMA))
    # What is looked for every few seconds: a few rows of many.
    op.create_index(
        "ix_media_item_deadline_at", "media_item", ["deadline_at"], schema=SCHEMA, postgresql_where=_IS_WAITING
    )
    op.create_index(
        "ix_media_item_untold_failure_at",
        "media_item",
        ["project_id", "created_by"],
        schema=SCHEMA,
        postgresql_where=sa.text("untold_failure_at IS NOT NULL"),
    )
