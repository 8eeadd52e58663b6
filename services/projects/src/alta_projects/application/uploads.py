"""Taking files in: stored first, then one transaction that makes them a document or a voice sample."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.clock import utc_now
from alta_common.contracts.media_types import HEAD_BYTES, MediaType, recognise
from alta_common.contracts.principal import Principal
from alta_common.db.engine import Sessions
from alta_common.errors import InvalidError, UnavailableError, UnsupportedMediaTypeError
from alta_common.http.idempotency import StoredAnswer
from alta_common.ids import new_id
from alta_common.outbox import Outbox
from alta_common.storage import ObjectStorage
from alta_common.telemetry.context import span
from alta_projects.application.access import enter
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.metrics import upload_bytes, uploads_accepted
from alta_projects.application.once import Once
from alta_projects.application.streams import in_pieces, limited, read_head
from alta_projects.models.access import Right
from alta_projects.models.media_item import MediaItem
from alta_projects.models.media_types import describe
from alta_projects.models.original import Original
from alta_projects.models.reading import Wishes
from alta_projects.repositories.changes import ChangeAnnouncer
from alta_projects.repositories.items import ItemRepository
from alta_projects.repositories.objects import UnclaimedObjectRepository

log = structlog.get_logger()

Item = TypeVar("Item", bound=MediaItem)


class EmptyFileError(InvalidError):
    """The file has no bytes."""

    code = "empty_file"


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """What came beside a file."""

    attributes: dict[str, Any] = field(default_factory=dict)
    wishes: Wishes = field(default_factory=Wishes)


class IncomingUpload(Protocol):
    """A file that is just arriving. The three are called in this order, once each."""

    async def open(self) -> str:
        """Read as far as the file's beginning and return its name."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Return an iterator over the file's bytes."""
        ...

    async def finish(self) -> UploadOptions:
        """Read what comes behind the file and return what was said about it."""
        ...


@dataclass(frozen=True, slots=True)
class Intake:
    """What is taken in of one kind: which types, and how many bytes of them."""

    types: tuple[MediaType, ...]
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Uploaded(Generic[Item]):
    """What an upload led to: a new item, or the one that has held the same bytes before."""

    item: Item
    is_new: bool


@dataclass(frozen=True, slots=True)
class _Arrived:
    item_id: UUID
    original: Original
    wishes: Wishes


class UploadService:
    """Takes files in.

    `unclaimed_for` is how long an object may lie in the store without belonging to anything, `patience` the time that
    reading a file may take where the project's settings name none.
    """

    def __init__(
        self,
        sessions: Sessions,
        storage: ObjectStorage,
        *,
        outbox: Outbox,
        audit: ProjectAudit,
        changes: ChangeAnnouncer,
        intakes: Mapping[type[MediaItem], Intake],
        unclaimed_for: timedelta,
        patience: timedelta,
    ) -> None:
        self._sessions = sessions
        self._storage = storage
        self._outbox = outbox
        self._audit = audit
        self._changes = changes
        self._intakes = intakes
        self._unclaimed_for = unclaimed_for
        self._patience = patience

    async def upload(
        self,
        caller: Principal,
        kind: type[Item],
        project_id: UUID,
        incoming: IncomingUpload,
        once: Once[Uploaded[Item]],
        *,
        allow_duplicate: bool,
    ) -> Uploaded[Item] | StoredAnswer:
        """Store a file and make it an item of the project, or return the item that holds the same bytes.

        Raises what is wrong with the file: `UnsupportedMediaTypeError`, `TooLargeError`, `EmptyFileError`. Nothing of
        a refused upload is left.
        """
        item_id = new_id()
        key = kind.new_object_key(project_id, item_id)
        async with self._sessions.begin() as session:
            await enter(session, project_id, caller, Right.UPLOAD)
            await UnclaimedObjectRepository(session).condemn([key], utc_now() + self._unclaimed_for)
        try:
            arrived = await self._receive(kind, item_id, key, incoming)
            outcome = await self._record(caller, kind, project_id, arrived, once, allow_duplicate=allow_duplicate)
        except BaseException:
            await asyncio.shield(self._discard(key))
            raise
        if isinstance(outcome, StoredAnswer) or not outcome.is_new:
            await self._discard(key)
        else:
            uploads_accepted.labels(outcome.item.kind).inc()
            upload_bytes.labels(outcome.item.kind).inc(outcome.item.size_bytes)
            await self._changes.announce(outcome.item.id, project_id)
        return outcome

    async def _receive(self, kind: type[MediaItem], item_id: UUID, key: str, incoming: IncomingUpload) -> _Arrived:
        """Put the file into the store, looking at it on its way."""
        intake = self._intakes[kind]
        filename = await incoming.open()
        chunks = limited(incoming.chunks(), intake.max_bytes)
        head = await read_head(chunks, HEAD_BYTES)
        content_type = _media_type(head, kind, intake)
        with span(
            "upload.store", attributes={"alta.item.kind": kind.NOUN, "alta.content_type": content_type}
        ) as current:
            stored = await self._storage.put(key, in_pieces(head, chunks), content_type)
            current.set_attribute("alta.size_bytes", stored.size_bytes)
        options = await incoming.finish()
        original = Original(filename, content_type, stored.size_bytes, stored.sha256, options.attributes)
        return _Arrived(item_id, original, options.wishes)

    async def _record(
        self,
        caller: Principal,
        kind: type[Item],
        project_id: UUID,
        arrived: _Arrived,
        once: Once[Uploaded[Item]],
        *,
        allow_duplicate: bool,
    ) -> Uploaded[Item] | StoredAnswer:
        """Make the stored file an item: row, outbox event, audit row and idempotency key, all or nothing."""
        original, wishes = arrived.original, arrived.wishes
        async with self._sessions.begin() as session:
            # Again: much may have happened since the first byte.
            project = (await enter(session, project_id, caller, Right.UPLOAD)).project
            same = (original.sha256, original.filename, original.attributes, wishes.language, wishes.engine)
            # A request that says nothing of channels is the same as before there were any.
            channels = () if wishes.channels is None else (wishes.channels,)
            replay = await once.replay(session, kind.NOUN, project_id, *same, allow_duplicate, *channels)
            if replay is not None:
                return replay
            items = ItemRepository(session, kind)
            await items.lock_content(project_id, original.sha256)
            holder = await items.find_original(project_id, original.sha256)
            if holder is not None and not allow_duplicate:
                outcome = Uploaded(holder, is_new=False)
            else:
                reading = project.reading(kind.KIND, wishes, self._patience)
                is_copy, owner = holder is not None, caller.user_id
                item = kind.queued(
                    arrived.item_id, project_id, original, wishes, reading, is_copy=is_copy, created_by=owner
                )
                await self._add(session, items, item)
                outcome = Uploaded(item, is_new=True)
            await once.keep(session, outcome)
        return outcome

    async def _add(self, session: AsyncSession, items: ItemRepository[Item], item: Item) -> None:
        """Write a new item, and have it read."""
        if not await UnclaimedObjectRepository(session).claim(item.object_key):
            raise UnavailableError("the upload took so long that its file was swept away; send it again")
        await items.add(item)
        await self._outbox.add(session, item.request())
        await self._audit.note(
            session,
            f"{item.kind}.uploaded",
            item.project_id,
            actor_id=item.created_by,
            subject=(item.kind, item.id),
            sha256=item.sha256,
            size_bytes=item.size_bytes,
        )

    async def _discard(self, key: str) -> None:
        """Remove an object unless it has become somebody's. What cannot be removed now is left to the sweep.

        An error does not say that nothing was committed: the connection may have been lost with the answer. Whoever
        takes the row of the object decides over it, and waits for a commit that is still under way.
        """
        try:
            async with self._sessions.begin() as session:
                if await UnclaimedObjectRepository(session).claim(key):
                    await self._storage.delete(key)
        except Exception as error:  # noqa: BLE001  the upload's own outcome matters more than its leftovers
            log.warning("upload.not_discarded", object_key=key, error=repr(error))


def _media_type(head: bytes, kind: type[MediaItem], intake: Intake) -> str:
    if not head:
        raise EmptyFileError("the file is empty")
    content_type = recognise(head, intake.types)
    if content_type is None:
        names = ", ".join(one.name for one in intake.types)
        raise UnsupportedMediaTypeError(
            f"the file looks like {describe(head)}; a {kind.NOUN} must be one of these: {names}"
        )
    return content_type
