"""Who may do what in a project: five roles, and what each is allowed."""

from enum import StrEnum


class Right(StrEnum):
    """One thing that a member may be allowed to do."""

    READ = "read"
    UPLOAD = "upload"
    REVIEW = "review"
    MANAGE = "manage"
    OWN = "own"


class Role(StrEnum):
    """What a member is in a project."""

    OWNER = "owner"
    MANAGER = "manager"
    CONTRIBUTOR = "contributor"
    REVIEWER = "reviewer"
    VIEWER = "viewer"

    def allows(self, right: Right) -> bool:
        """Say whether a member with this role has `right`."""
        return right in _RIGHTS[self]


_RIGHTS: dict[Role, frozenset[Right]] = {
    Role.OWNER: frozenset(Right),
    Role.MANAGER: frozenset(Right) - {Right.OWN},
    Role.CONTRIBUTOR: frozenset({Right.READ, Right.UPLOAD}),
    Role.REVIEWER: frozenset({Right.READ, Right.REVIEW}),
    Role.VIEWER: frozenset({Right.READ}),
}
