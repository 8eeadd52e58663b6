"""All SQL about members and people."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.errors import NotFoundError
from alta_projects.models.access import Role
from alta_projects.models.member import Member, Person
from alta_projects.repositories.pages import Slice, slice_of


@dataclass(frozen=True, slots=True)
class KnownMember:
    """A member with what we know of the person; None for an invitation, and for an account we have not heard of."""

    member: Member
    person: Person | None


class MemberRepository:
    """Members of projects, of one session. Changing them needs the project's row locked first."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, member: Member) -> None:
        """Write a new member or invitation."""
        self._session.add(member)
        await self._session.flush()

    async def get(self, project_id: UUID, user_or_invitation_id: UUID) -> KnownMember:
        """Return a member by the user's id, or an invitation by its own. Raises `NotFoundError`."""
        query = (
            select(Member, Person)
            .outerjoin(Person, Person.user_id == Member.user_id)
            .where(
                Member.project_id == project_id,
                or_(
                    Member.user_id == user_or_invitation_id,
                    (Member.id == user_or_invitation_id) & Member.user_id.is_(None),
                ),
            )
            .execution_options(populate_existing=True)
        )
        row = (await self._session.execute(query)).one_or_none()
        if row is None:
            raise NotFoundError(f"the project has no member {user_or_invitation_id}")
        return KnownMember(row[0], row[1])

    async def find_by_address(self, project_id: UUID, email: str) -> Member | None:
        """Return the member who has this address, or the invitation that was sent to it."""
        query = (
            select(Member)
            .outerjoin(Person, Person.user_id == Member.user_id)
            .where(Member.project_id == project_id, or_(Person.email == email, Member.invited_email == email))
            .limit(1)
        )
        return (await self._session.execute(query)).scalar_one_or_none()

    async def count_owners(self, project_id: UUID) -> int:
        """Return how many people own the project; invitations don't count."""
        query = select(func.count()).where(
            Member.project_id == project_id, Member.role == Role.OWNER, Member.user_id.is_not(None)
        )
        return (await self._session.execute(query)).scalar_one()

    async def list_members(self, project_id: UUID, *, after: UUID | None, limit: int) -> Slice[KnownMember]:
        """Return members and invitations, in the order in which they came."""
        query = (
            select(Member, Person)
            .outerjoin(Person, Person.user_id == Member.user_id)
            .where(Member.project_id == project_id)
            .order_by(Member.id)
            .limit(limit + 1)
        )
        if after is not None:
            query = query.where(Member.id > after)
        rows = (await self._session.execute(query)).all()
        return slice_of([(member.id, KnownMember(member, person)) for member, person in rows], limit)

    async def lock_invitations(self, email: str) -> Sequence[Member]:
        """Return the invitations that wait for this address, held until the transaction ends."""
        query = select(Member).where(Member.invited_email == email, Member.user_id.is_(None)).with_for_update()
        return (await self._session.execute(query)).scalars().all()

    async def is_member(self, project_id: UUID, user_id: UUID) -> bool:
        """Say whether the user has a place in the project."""
        query = select(Member.id).where(Member.project_id == project_id, Member.user_id == user_id)
        return (await self._session.execute(query)).first() is not None

    async def remove(self, member: Member) -> None:
        """Take a place away."""
        await self._session.delete(member)
        await self._session.flush()


class PersonRepository:
    """The people we know, of one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lock_address(self, email: str) -> None:
        """Let nobody else invite or register this address until the transaction ends.

        Without it an invitation could be written while its account is being taken in, and wait for ever.
        """
        await self._session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:email, 0))"), {"email": f"projects.address:{email}"}
        )

    async def find(self, user_id: UUID) -> Person | None:
        """Return somebody by account, or None when identity has not told us of them yet."""
        return await self._session.get(Person, user_id)

    async def find_by_email(self, email: str) -> Person | None:
        """Return who has this address now: of several accounts over time, the last."""
        query = select(Person).where(Person.email == email).order_by(Person.registered_at.desc()).limit(1)
        return (await self._session.execute(query)).scalar_one_or_none()

    async def save(self, person: Person) -> None:
        """Write what identity said of somebody."""
        values = {
            "user_id": person.user_id,
            "email": person.email,
            "full_name": person.full_name,
            "registered_at": person.registered_at,
        }
        statement = insert(Person).values(values)
        await self._session.execute(statement.on_conflict_do_update(index_elements=[Person.user_id], set_=values))
