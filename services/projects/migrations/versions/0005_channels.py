"""How the channels of a recording are heard: what was asked for, and what that came to."""

import sqlalchemy as sa
from alembic import op

from alta_projects.settings import SCHEMA

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # None, which is in all rows that there are, means mixed.
    for name in ("asked_channels", "channels"):
        op.add_column("media_item", sa.Column(name, sa.Text(), nullable=True), schema=SCHEMA)


def downgrade() -> None:
    for name in ("channels", "asked_channels"):
        op.drop_column("media_item", name, schema=SCHEMA)
