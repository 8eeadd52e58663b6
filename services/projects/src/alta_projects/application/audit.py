"""Audit rows of this service: one chain a project."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.audit import AuditEntry, AuditTrail


class ProjectAudit:
    """Writes what was done into the chain of its project. Call it last in a transaction: it holds the chain's end.

    Details hold ids, roles and codes, never names or addresses: a chain cannot forget.
    """

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    async def note(
        self,
        session: AsyncSession,
        action: str,
        project_id: UUID,
        *,
        actor_id: UUID | None,
        subject: tuple[str, UUID] | None = None,
        **details: Any,
    ) -> None:
        """Note that `actor_id` (None: the system) did `action` to a project, or to `subject` (type and id) in it."""
        subject_type, subject_id = subject or ("project", project_id)
        await self._trail.record(session, AuditEntry(actor_id, action, subject_type, subject_id, project_id, details))
