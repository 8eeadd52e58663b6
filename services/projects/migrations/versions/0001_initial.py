"""Projects, members, people, documents and voice samples; outbox, inbox, audit trail, idempotency keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from alta_common.audit import create_audit
from alta_common.http.idempotency import create_idempotency
from alta_common.inbox.table import create_inbox
from alta_common.outbox.table import create_outbox, drop_outbox
from alta_common.settings import load
from alta_projects.settings import SCHEMA, OutboxRelaySettings

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NOW = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_project()
    _create_people()
    _create_media_item()
    _create_unclaimed_object()
    relay_role = load(OutboxRelaySettings).outbox_relay_role
    for statement in (
        *create_outbox(SCHEMA, relay_role),
        *create_inbox(SCHEMA),
        *create_audit(SCHEMA),
        *create_idempotency(SCHEMA),
    ):
        op.execute(statement)


def downgrade() -> None:
    for statement in drop_outbox(SCHEMA):
        op.execute(statement)
    for table in ("idempotency_key", "audit_log", "audit_head", "inbox"):
        op.drop_table(table, schema=SCHEMA)
    op.execute(f"DROP FUNCTION {SCHEMA}.audit_refuse_change")
    for table in ("unclaimed_object", "media_item", "member", "person", "project"):
        op.drop_table(table, schema=SCHEMA)


def _create_project() -> None:
    op.create_table(
        "project",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("settings", JSONB(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", _NOW, nullable=False),
        sa.Column("updated_at", _NOW, nullable=False),
        sa.Column("deleted_at", _NOW, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_project"),
        schema=SCHEMA,
    )
    # What the sweep looks for.
    op.create_index(
        "ix_project_deleted", "project", ["id"], schema=SCHEMA, postgresql_where=sa.text("deleted_at IS NOT NULL")
    )


def _create_people() -> None:
    op.create_table(
        "person",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("registered_at", _NOW, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_person"),
        schema=SCHEMA,
    )
    op.create_index("ix_person_email", "person", ["email"], schema=SCHEMA)
    op.create_table(
        "member",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("invited_email", sa.Text(), nullable=True),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", _NOW, nullable=False),
        sa.Column("joined_at", _NOW, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_member"),
        sa.ForeignKeyConstraint(
            ["project_id"], [f"{SCHEMA}.project.id"], name="fk_member_project_id_project", ondelete="CASCADE"
        ),
        sa.CheckConstraint("role IN ('owner', 'manager', 'contributor', 'reviewer', 'viewer')", name="ck_member_role"),
        sa.CheckConstraint("user_id IS NOT NULL OR invited_email IS NOT NULL", name="ck_member_somebody"),
        schema=SCHEMA,
    )
    # A person has one place in a project, an address one open invitation.
    op.create_index("uq_member_project_id_user_id", "member", ["project_id", "user_id"], unique=True, schema=SCHEMA)
    op.create_index(
        "uq_member_project_id_invited_email",
        "member",
        ["project_id", "invited_email"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("user_id IS NULL"),
    )
    # The lists of a person's projects, and of the invitations that wait for an address.
    op.create_index("ix_member_user_id_project_id", "member", ["user_id", "project_id"], schema=SCHEMA)
    op.create_index(
        "ix_member_invited_email",
        "member",
        ["invited_email"],
        schema=SCHEMA,
        postgresql_where=sa.text("user_id IS NULL"),
    )


def _create_media_item() -> None:
    op.create_table(
        "media_item",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("is_copy", sa.Boolean(), nullable=False),
        sa.Column("metadata", JSONB(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", _NOW, nullable=False),
        sa.Column("updated_at", _NOW, nullable=False),
        sa.Column("completed_at", _NOW, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("requested_at", _NOW, nullable=False),
        sa.Column("progress_done", sa.Integer(), nullable=False),
        sa.Column("progress_total", sa.Integer(), nullable=True),
        sa.Column("engine", sa.Text(), nullable=True),
        sa.Column("engine_version", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("pages", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("warnings", JSONB(), nullable=False),
        sa.Column("needs_review", sa.Boolean(), nullable=False),
        sa.Column("review_status", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_detail", sa.Text(), nullable=True),
        sa.Column("error_retryable", sa.Boolean(), nullable=True),
        sa.Column("result_key", sa.Text(), nullable=True),
        sa.Column("result_sha256", sa.Text(), nullable=True),
        sa.Column("result_bytes", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_media_item"),
        # No cascade: the sweep takes items away one batch at a time and remembers their objects.
        sa.ForeignKeyConstraint(["project_id"], [f"{SCHEMA}.project.id"], name="fk_media_item_project_id_project"),
        sa.CheckConstraint("kind IN ('document', 'voice_sample')", name="ck_media_item_kind"),
        sa.CheckConstraint(
            "status IN ('queued', 'processing', 'completed', 'failed', 'cancelled')", name="ck_media_item_status"
        ),
        sa.CheckConstraint("size_bytes > 0", name="ck_media_item_size_bytes"),
        schema=SCHEMA,
    )
    op.create_index("ix_media_item_project_id_kind_id", "media_item", ["project_id", "kind", "id"], schema=SCHEMA)
    op.create_index("ix_media_item_project_id_sha256", "media_item", ["project_id", "sha256"], schema=SCHEMA)
    # The same bytes are in a project once, unless a copy was asked for.
    op.create_index(
        "uq_media_item_project_id_kind_sha256",
        "media_item",
        ["project_id", "kind", "sha256"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("NOT is_copy"),
    )


def _create_unclaimed_object() -> None:
    op.create_table(
        "unclaimed_object",
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("delete_after", _NOW, nullable=False),
        sa.PrimaryKeyConstraint("object_key", name="pk_unclaimed_object"),
        schema=SCHEMA,
    )
    op.create_index("ix_unclaimed_object_delete_after", "unclaimed_object", ["delete_after"], schema=SCHEMA)
