"""Retention of the outbox keeps no writer waiting, drops no day that is being replayed, and reaches every row."""

from alembic import op

from alta_common.outbox.functions import create_functions
from alta_common.outbox.table import SHARDS

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "identity"


def upgrade() -> None:
    # A database that is new today has them already; in others they replace what was there.
    for statement in create_functions(SCHEMA, SHARDS):
        op.execute(statement)


def downgrade() -> None:
    """Leave the functions: they take the same arguments and return the same as those before."""
