"""The audit trail of operating: identity's own chain, which platform admins read."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.audit import AuditEntry, AuditTrail
from alta_outbox_relay.models.operator import Operator

AUDIT_SCHEMA = "identity"

_NAMED_IDS = 100


class OperationsAudit:
    """Notes what operators did. Ids are named up to a hundred; the counts are whole."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    async def note(
        self,
        session: AsyncSession,
        operator: Operator,
        action: str,
        *,
        subject_type: str,
        subject_id: UUID | None = None,
        ids: Sequence[object] = (),
        **details: Any,
    ) -> None:
        """Record it in the session's transaction, late: the chain is held until that ends."""
        said = {name: value for name, value in details.items() if value is not None}
        if ids:
            said["ids"] = [str(one) for one in ids[:_NAMED_IDS]]
        if operator.name is not None:
            said["operator"] = operator.name
        entry = AuditEntry(operator.user_id, action, subject_type, subject_id, None, said)
        await self._trail.record(session, entry)
