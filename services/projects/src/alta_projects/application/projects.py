"""What can be done with projects."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from alta_common.contracts.principal import Principal
from alta_common.contracts.projects import ProjectCreated
from alta_common.db.engine import Sessions
from alta_common.http.idempotency import StoredAnswer
from alta_common.outbox import Outbox
from alta_projects.application.access import enter
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.cancellations import Cancellations
from alta_projects.application.once import Once
from alta_projects.models.access import Right, Role
from alta_projects.models.member import Member
from alta_projects.models.project import Project
from alta_projects.repositories.members import MemberRepository, PersonRepository
from alta_projects.repositories.pages import Slice
from alta_projects.repositories.projects import Membership, ProjectRepository
from alta_projects.repositories.runs import RunRepository

_CALLED_OFF_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class ProjectDraft:
    """What somebody wants a project to be."""

    name: str
    description: str | None
    settings: dict[str, Any]


class ProjectService:
    """Use cases around projects."""

    def __init__(self, sessions: Sessions, outbox: Outbox, audit: ProjectAudit, cancellations: Cancellations) -> None:
        self._sessions = sessions
        self._outbox = outbox
        self._audit = audit
        self._cancellations = cancellations

    async def create(self, caller: Principal, draft: ProjectDraft, once: Once[Membership]) -> Membership | StoredAnswer:
        """Make a project that the caller owns."""
        async with self._sessions.begin() as session:
            replay = await once.replay(session, "project", draft.name, draft.description, draft.settings)
            if replay is not None:
                return replay
            project = Project.new(draft.name, draft.description, draft.settings, caller.user_id)
            await ProjectRepository(session).add(project)
            await MemberRepository(session).add(Member.founder(project.id, caller.user_id))
            owner = await PersonRepository(session).find(caller.user_id)
            created = ProjectCreated(
                project_id=project.id,
                name=project.name,
                created_by=caller.user_id,
                owner_email=owner.email if owner else None,
            )
            await self._outbox.add(session, created)
            await self._audit.note(session, "project.created", project.id, actor_id=caller.user_id)
            membership = Membership(project, Role.OWNER)
            await once.keep(session, membership)
        return membership

    async def list_projects(self, caller: Principal, *, after: UUID | None, limit: int) -> Slice[Membership]:
        """Return the caller's projects, newest first."""
        async with self._sessions() as session:
            return await ProjectRepository(session).list_memberships(caller.user_id, after=after, limit=limit)

    async def get(self, caller: Principal, project_id: UUID) -> Membership:
        """Return a project as the caller sees it."""
        async with self._sessions() as session:
            return await enter(session, project_id, caller, Right.READ)

    async def change(
        self,
        caller: Principal,
        project_id: UUID,
        changes: dict[str, Any],
        refuse_stale: Callable[[Membership], None],
    ) -> Membership:
        """Change name, description or settings. `refuse_stale` raises when the caller has read an older version."""
        async with self._sessions.begin() as session:
            role = (await enter(session, project_id, caller, Right.MANAGE)).role
            membership = Membership(await ProjectRepository(session).lock(project_id), role)
            refuse_stale(membership)
            changed = membership.project.change(changes)
            if changed:
                await self._audit.note(
                    session, "project.changed", project_id, actor_id=caller.user_id, fields=sorted(changed)
                )
        return membership

    async def delete(self, caller: Principal, project_id: UUID, refuse_stale: Callable[[Membership], None]) -> None:
        """Take a project away with all it holds: hidden at once, not read any further, purged by the sweep."""
        async with self._sessions.begin() as session:
            role = (await enter(session, project_id, caller, Right.OWN)).role
            project = await ProjectRepository(session).lock(project_id)
            refuse_stale(Membership(project, role))
            project.delete()
            # The others are the worker's (`RunWatch`): nobody waits here until thousands have been called off.
            running = await RunRepository(session).lock_of_project(project_id, limit=_CALLED_OFF_AT_ONCE)
            for item in running:
                item.cancel()
            await self._cancellations.add(session, running, "deleted")
            await self._audit.note(session, "project.deleted", project_id, actor_id=caller.user_id)
        await self._cancellations.mark(running)
