"""What can be done with the members of a project."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.contracts.principal import Principal
from alta_common.contracts.projects import ProjectsEmailRequested
from alta_common.db.engine import Sessions
from alta_common.errors import ConflictError
from alta_common.http.idempotency import StoredAnswer
from alta_common.ids import new_id
from alta_common.outbox import Outbox
from alta_projects.application.access import enter, require
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.once import Once
from alta_projects.models.access import Right, Role
from alta_projects.models.member import Member
from alta_projects.models.project import Project
from alta_projects.repositories.members import KnownMember, MemberRepository, PersonRepository
from alta_projects.repositories.pages import Slice
from alta_projects.repositories.projects import ProjectRepository


class AlreadyMemberError(ConflictError):
    """The address has its place in the project, or an invitation to it."""

    code = "already_member"


class MemberService:
    """Use cases around members."""

    def __init__(self, sessions: Sessions, outbox: Outbox, audit: ProjectAudit) -> None:
        self._sessions = sessions
        self._outbox = outbox
        self._audit = audit

    async def list_members(
        self, caller: Principal, project_id: UUID, *, after: UUID | None, limit: int
    ) -> Slice[KnownMember]:
        """Return members and invitations."""
        async with self._sessions() as session:
            await enter(session, project_id, caller, Right.READ)
            return await MemberRepository(session).list_members(project_id, after=after, limit=limit)

    async def invite(
        self, caller: Principal, project_id: UUID, email: str, role: Role, once: Once[Member]
    ) -> Member | StoredAnswer:
        """Give whoever has this address a place: at once when we know them, else when they have registered."""
        async with self._sessions.begin() as session:
            membership = await enter(session, project_id, caller, Right.MANAGE)
            _require_owner_for(membership.role, role)
            replay = await once.replay(session, "member", project_id, email, role)
            if replay is not None:
                return replay
            project = await ProjectRepository(session).lock(project_id)
            people, members = PersonRepository(session), MemberRepository(session)
            await people.lock_address(email)
            if await members.find_by_address(project_id, email) is not None:
                raise AlreadyMemberError("this address is a member already or has been invited")
            person = await people.find_by_email(email)
            member = Member.invited(project_id, email, role, caller.user_id, person.user_id if person else None)
            await members.add(member)
            if member.is_invitation:
                await self._outbox.add(session, await self._invitation(session, project, email, role, caller))
            await self._note(session, "member.invited", member, caller)
            await once.keep(session, member)
        return member

    async def change_role(
        self,
        caller: Principal,
        project_id: UUID,
        member_id: UUID,
        role: Role,
        refuse_stale: Callable[[Member], None],
    ) -> KnownMember:
        """Make a member something else. Only owners make and unmake owners."""
        async with self._sessions.begin() as session:
            membership = await enter(session, project_id, caller, Right.MANAGE)
            await ProjectRepository(session).lock(project_id)
            members = MemberRepository(session)
            known = await members.get(project_id, member_id)
            refuse_stale(known.member)
            _require_owner_for(membership.role, role, known.member.role)
            known.member.change_role(role, owners=await members.count_owners(project_id))
            await self._note(session, "member.changed", known.member, caller)
        return known

    async def remove(self, caller: Principal, project_id: UUID, member_id: UUID) -> None:
        """Take somebody's place or an invitation away. Everybody may leave by themselves."""
        async with self._sessions.begin() as session:
            membership = await enter(session, project_id, caller, Right.READ)
            await ProjectRepository(session).lock(project_id)
            members = MemberRepository(session)
            if member_id != caller.user_id:
                require(membership.role, Right.MANAGE)
            member = (await members.get(project_id, member_id)).member
            _require_owner_for(membership.role, member.role)
            member.refuse_loss_of_last_owner(await members.count_owners(project_id))
            await members.remove(member)
            await self._note(session, "member.removed", member, caller)

    async def _invitation(
        self, session: AsyncSession, project: Project, email: str, role: Role, caller: Principal
    ) -> ProjectsEmailRequested:
        inviter = await PersonRepository(session).find(caller.user_id)
        return ProjectsEmailRequested(
            email_id=new_id(),
            template="project_invitation",
            to=email,
            values={
                "project_name": project.name,
                "role": role.value,
                "inviter_name": inviter.full_name if inviter else "",
            },
        )

    async def _note(self, session: AsyncSession, action: str, member: Member, caller: Principal) -> None:
        await self._audit.note(
            session,
            action,
            member.project_id,
            actor_id=caller.user_id,
            subject=("member", member.user_id or member.id),
            role=member.role.value,
        )


def _require_owner_for(role: Role, *touched: Role) -> None:
    """Raise `ForbiddenError` when one of the roles that are given or taken is the owner's and the caller is none."""
    if Role.OWNER in touched:
        require(role, Right.OWN)
