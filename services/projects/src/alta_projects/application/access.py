"""Who may do what: the check at the door of every use case."""

from typing import TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.contracts.principal import Principal
from alta_common.errors import ForbiddenError, NotFoundError
from alta_projects.models.access import Right, Role
from alta_projects.models.media_item import MediaItem
from alta_projects.repositories.items import SeenItem
from alta_projects.repositories.projects import Membership, ProjectRepository

Item = TypeVar("Item", bound=MediaItem)

_NEEDED = {
    Right.READ: "read it",
    Right.UPLOAD: "add to it or take from it",
    Right.REVIEW: "review what it holds",
    Right.MANAGE: "change it or its members",
    Right.OWN: "do what only owners do",
}


def require(role: Role, right: Right) -> None:
    """Raise `ForbiddenError` when a member with this role may not do this."""
    if not role.allows(right):
        raise ForbiddenError(f"as {role.value} of this project you may not {_NEEDED[right]}")


async def enter(session: AsyncSession, project_id: UUID, caller: Principal, right: Right) -> Membership:
    """Return the project as the caller sees it.

    Raises `NotFoundError` for who is not a member, so that a stranger learns nothing, and `ForbiddenError` for a member
    without the right.
    """
    membership = await ProjectRepository(session).find_membership(project_id, caller.user_id)
    if membership is None:
        raise NotFoundError(f"there is no project {project_id} that you can see")
    require(membership.role, right)
    return membership


def require_hold_over(seen: SeenItem[Item], caller: Principal) -> None:
    """Raise `ForbiddenError` unless the caller may do with the item what its owner may: managers and who added it."""
    require(seen.role, Right.UPLOAD)
    if seen.item.created_by != caller.user_id:
        require(seen.role, Right.MANAGE)
