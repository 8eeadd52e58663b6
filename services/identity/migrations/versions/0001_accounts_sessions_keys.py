"""Accounts, sessions, signing keys, with outbox, audit trail and idempotency keys.

Revision: 0001, the first.
"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

from alta_common.audit import create_audit
from alta_common.http.idempotency import create_idempotency
from alta_common.outbox.table import create_outbox, drop_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "identity"
DEFAULT_RELAY_ROLE = "alta_relay"


def upgrade() -> None:
    _accounts()
    _sessions()
    _keys()
    # `python -m alta_identity.migrate` passes its settings; Alembic's own command line has none to pass.
    relay_role = getattr(context.config.attributes.get("settings"), "outbox_relay_role", DEFAULT_RELAY_ROLE)
    for statement in [*create_outbox(SCHEMA, relay_role), *create_audit(SCHEMA), *create_idempotency(SCHEMA)]:
        op.execute(statement)


def downgrade() -> None:
    for table in ("refresh_token", "login_session", "one_time_token", "account", "signing_key", "idempotency_key"):
        op.drop_table(table, schema=SCHEMA)
    op.drop_table("audit_log", schema=SCHEMA)
    op.drop_table("audit_head", schema=SCHEMA)
    op.execute(f"DROP FUNCTION {SCHEMA}.audit_refuse_change")
    for statement in drop_outbox(SCHEMA):
        op.execute(statement)


def _moment(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _accounts() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("email_key", sa.String(320), nullable=False),
        sa.Column("full_name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(40), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        _moment("password_changed_at"),
        _moment("verified_at", nullable=True),
        _moment("disabled_at", nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("email_key", name="uq_account_email_key"),
        schema=SCHEMA,
    )
    op.create_table(
        "one_time_token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        _moment("created_at"),
        _moment("expires_at"),
        _moment("used_at", nullable=True),
        _moment("withdrawn_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_one_time_token"),
        sa.UniqueConstraint("token_hash", name="uq_one_time_token_token_hash"),
        sa.ForeignKeyConstraint(
            ["account_id"], [f"{SCHEMA}.account.id"], name="fk_one_time_token_account_id_account", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_one_time_token_account_id_purpose", "one_time_token", ["account_id", "purpose"], schema=SCHEMA)


def _sessions() -> None:
    op.create_table(
        "login_session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        _moment("created_at"),
        _moment("last_used_at"),
        _moment("expires_at"),
        _moment("ended_at", nullable=True),
        sa.Column("end_reason", sa.String(40), nullable=True),
        sa.Column("revocation_due", sa.Boolean(), nullable=False),
        sa.Column("user_agent", sa.String(256), nullable=True),
        sa.Column("client_address", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_login_session"),
        sa.ForeignKeyConstraint(
            ["account_id"], [f"{SCHEMA}.account.id"], name="fk_login_session_account_id_account", ondelete="CASCADE"
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_login_session_account_id", "login_session", ["account_id"], schema=SCHEMA)
    op.create_index(
        "ix_login_session_revocation_due",
        "login_session",
        ["ended_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("revocation_due"),
    )
    op.create_table(
        "refresh_token",
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        _moment("created_at"),
        _moment("expires_at"),
        _moment("used_at", nullable=True),
        sa.Column("successor_sealed", sa.Text(), nullable=True),
        _moment("successor_expires_at", nullable=True),
        sa.PrimaryKeyConstraint("token_hash", name="pk_refresh_token"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            [f"{SCHEMA}.login_session.id"],
            name="fk_refresh_token_session_id_login_session",
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_refresh_token_session_id", "refresh_token", ["session_id"], schema=SCHEMA)


def _keys() -> None:
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("public_jwk", JSONB(), nullable=False),
        sa.Column("private_sealed", sa.Text(), nullable=False),
        _moment("created_at"),
        _moment("active_from"),
        _moment("withdraw_at", nullable=True),
        sa.PrimaryKeyConstraint("kid", name="pk_signing_key"),
        schema=SCHEMA,
    )
    op.create_index("ix_signing_key_active_from", "signing_key", ["active_from"], schema=SCHEMA)
