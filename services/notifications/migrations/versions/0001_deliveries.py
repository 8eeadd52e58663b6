"""What was sent.

Revision: 0001, the first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "notifications"


def upgrade() -> None:
    op.create_table(
        "delivery",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("template", sa.String(100), nullable=False),
        sa.Column("recipient_hash", sa.String(64), nullable=False),
        sa.Column("message_id", sa.String(400), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("last_error", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("event_id", name="pk_delivery"),
        schema=SCHEMA,
    )
    op.create_index("ix_delivery_created_at", "delivery", ["created_at"], schema=SCHEMA)
    op.create_index("ix_delivery_recipient_hash", "delivery", ["recipient_hash"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_table("delivery", schema=SCHEMA)
