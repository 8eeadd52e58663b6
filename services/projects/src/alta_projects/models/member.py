"""Members of a project, those among them who are invited but have no account yet, and the people we know."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from alta_common.clock import utc_now
from alta_common.errors import ConflictError
from alta_common.ids import new_id
from alta_projects.models.access import Role
from alta_projects.models.base import Base, text_enum


class LastOwnerError(ConflictError):
    """A project keeps at least one owner."""

    code = "last_owner"


class Person(Base):
    """Somebody with an account, as identity told us (`USER_REGISTERED`)."""

    __tablename__ = "person"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(Text)
    full_name: Mapped[str] = mapped_column(Text)
    registered_at: Mapped[datetime]


class Member(Base):
    """Somebody's place in a project. While `user_id` is empty it is an invitation that waits for its account."""

    __tablename__ = "member"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.project.id", ondelete="CASCADE"))
    user_id: Mapped[UUID | None]
    invited_email: Mapped[str | None] = mapped_column(Text)
    role: Mapped[Role] = mapped_column(text_enum(Role))
    invited_by: Mapped[UUID | None]
    created_at: Mapped[datetime]
    joined_at: Mapped[datetime | None]
    failures_told_at: Mapped[datetime | None]
    """When they were last written to about what could not be read."""
    version: Mapped[int]

    @classmethod
    def founder(cls, project_id: UUID, user_id: UUID) -> "Member":
        """Return the first member of a project: its owner."""
        now = utc_now()
        return cls(
            id=new_id(),
            project_id=project_id,
            user_id=user_id,
            invited_email=None,
            role=Role.OWNER,
            invited_by=None,
            created_at=now,
            joined_at=now,
            version=1,
        )

    @classmethod
    def invited(cls, project_id: UUID, email: str, role: Role, invited_by: UUID, user_id: UUID | None) -> "Member":
        """Return a member when the person is known, else an invitation for the address."""
        now = utc_now()
        return cls(
            id=new_id(),
            project_id=project_id,
            user_id=user_id,
            invited_email=email,
            role=role,
            invited_by=invited_by,
            created_at=now,
            joined_at=now if user_id else None,
            version=1,
        )

    @property
    def is_invitation(self) -> bool:
        """Say whether nobody has taken this place yet."""
        return self.user_id is None

    def accept(self, user_id: UUID) -> None:
        """Let the invited person, who now has an account, take the place."""
        if self.user_id is not None:
            raise ConflictError(f"the invitation {self.id} has been accepted")
        self.user_id = user_id
        self.joined_at = utc_now()
        self.version += 1

    def change_role(self, role: Role, *, owners: int) -> None:
        """Make the member something else. `owners` is how many the project has. Raises `LastOwnerError`."""
        if role is not Role.OWNER:
            self.refuse_loss_of_last_owner(owners)
        self.role = role
        self.version += 1

    def refuse_loss_of_last_owner(self, owners: int) -> None:
        """Raise `LastOwnerError` when the project would have no owner without this one."""
        if self.role is Role.OWNER and not self.is_invitation and owners <= 1:
            raise LastOwnerError("this is the project's last owner; make somebody else an owner first")
