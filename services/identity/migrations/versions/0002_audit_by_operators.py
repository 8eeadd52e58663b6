"""What operators do with outboxes and queues is noted in identity's own audit trail, by the relay's role.

It may append and move the head of the chain; it may not read the trail.
"""

from alembic import context, op

from alta_common.audit.table import grant_recording, revoke_recording

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "identity"
DEFAULT_RELAY_ROLE = "alta_relay"


def upgrade() -> None:
    for statement in grant_recording(SCHEMA, _relay_role()):
        op.execute(statement)


def downgrade() -> None:
    for statement in revoke_recording(SCHEMA, _relay_role()):
        op.execute(statement)


def _relay_role() -> str:
    # `python -m alta_identity.migrate` passes its settings; Alembic's own command line has none to pass.
    role: str = getattr(context.config.attributes.get("settings"), "outbox_relay_role", DEFAULT_RELAY_ROLE)
    return role
