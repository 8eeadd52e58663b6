"""What identity tells us of people."""

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.contracts.identity import UserRegistered
from alta_common.db.engine import Sessions
from alta_common.inbox import Inbox
from alta_projects.application.audit import ProjectAudit
from alta_projects.models.member import Person
from alta_projects.repositories.members import MemberRepository, PersonRepository

log = structlog.get_logger()

CONSUMER = "projects.people"


class PersonService:
    """Keeps what we know of people, and lets the invited in."""

    def __init__(self, sessions: Sessions, inbox: Inbox, audit: ProjectAudit) -> None:
        self._sessions = sessions
        self._inbox = inbox
        self._audit = audit

    async def take_in(self, event: UserRegistered) -> None:
        """Remember somebody who has registered, and accept every invitation that waits for the address."""
        email = event.email.strip().lower()
        async with self._sessions.begin() as session:
            if not await self._inbox.first_time(session, event.event_id, CONSUMER):
                return
            people = PersonRepository(session)
            await people.lock_address(email)
            await people.save(
                Person(user_id=event.user_id, email=email, full_name=event.full_name, registered_at=event.occurred_at)
            )
            accepted = await self._accept_invitations(session, event, email)
        log.info("person.taken_in", user_id=str(event.user_id), invitations=accepted)

    async def _accept_invitations(self, session: AsyncSession, event: UserRegistered, email: str) -> int:
        members = MemberRepository(session)
        # In one order everywhere: each audit row locks the end of its project's chain.
        invitations = sorted(await members.lock_invitations(email), key=lambda invitation: invitation.project_id)
        for invitation in invitations:
            if await members.is_member(invitation.project_id, event.user_id):
                await members.remove(invitation)
                continue
            invitation.accept(event.user_id)
            await session.flush()
            await self._audit.note(
                session,
                "member.joined",
                invitation.project_id,
                actor_id=event.user_id,
                subject=("member", event.user_id),
                role=invitation.role.value,
            )
        return len(invitations)
