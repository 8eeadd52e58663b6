"""What can be done with the runs of documents and voice samples: stop one, begin another."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.contracts.principal import Principal
from alta_common.db.engine import Sessions
from alta_common.http.idempotency import StoredAnswer
from alta_common.outbox import Outbox
from alta_projects.application.access import enter, require_hold_over
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.cancellations import Cancellations
from alta_projects.application.once import Once
from alta_projects.models.access import Right
from alta_projects.models.media_item import MediaItem
from alta_projects.repositories.changes import ChangeAnnouncer
from alta_projects.repositories.items import ItemRepository

Item = TypeVar("Item", bound=MediaItem)


class RunService:
    """Use cases around runs. `patience` is the time a run has where the project's settings name none."""

    def __init__(
        self,
        sessions: Sessions,
        outbox: Outbox,
        *,
        audit: ProjectAudit,
        changes: ChangeAnnouncer,
        cancellations: Cancellations,
        patience: timedelta,
    ) -> None:
        self._sessions = sessions
        self._outbox = outbox
        self._audit = audit
        self._changes = changes
        self._cancellations = cancellations
        self._patience = patience

    async def cancel(self, caller: Principal, kind: type[Item], item_id: UUID) -> Item:
        """Stop the present run; doing it again changes nothing. Managers may stop any, contributors their own.

        Raises `AlreadyFinishedError` when the run has ended by itself.
        """
        async with self._sessions.begin() as session:
            item = await self._take(session, caller, kind, item_id)
            if item.cancel():
                await self._cancellations.add(session, [item], "cancelled")
                await self._note(session, f"{item.kind}.cancelled", item, caller)
            else:
                await self._cancellations.expect_marks(session, [item])
        # Of one that was cancelled before too: the first time may not have got as far as this.
        await self._cancellations.mark([item])
        await self._changes.announce(item.id, item.project_id)
        return item

    async def read_again(
        self,
        caller: Principal,
        kind: type[Item],
        item_id: UUID,
        said: Mapping[str, Any],
        *,
        once: Once[Item],
        refuse_stale: Callable[[Item], None],
    ) -> Item | StoredAnswer:
        """Begin another run. The last result stays until there is a new one.

        `said` holds `engine`, `language` and, of recordings, `channels` as far as the caller names them: None leaves
        it to the project again, what is missing stays as it was asked for before. Raises `StillProcessingError` while a
        run is under way; `refuse_stale` raises when the caller has read an older version.
        """
        async with self._sessions.begin() as session:
            item = await self._take(session, caller, kind, item_id)
            replay = await once.replay(session, "reprocess", kind.KIND, item_id, said)
            if replay is not None:
                return replay
            refuse_stale(item)
            project = (await enter(session, item.project_id, caller, Right.UPLOAD)).project
            wishes = replace(item.wishes, **said)
            item.read_again(wishes, project.reading(kind.KIND, wishes, self._patience))
            await self._outbox.add(session, item.request())
            await self._note(session, f"{item.kind}.reprocessed", item, caller)
            await once.keep(session, item)
        await self._changes.announce(item.id, item.project_id)
        return item

    async def _take(self, session: AsyncSession, caller: Principal, kind: type[Item], item_id: UUID) -> Item:
        seen = await ItemRepository(session, kind).get_seen(item_id, caller.user_id, hold=True)
        require_hold_over(seen, caller)
        return seen.item

    async def _note(self, session: AsyncSession, action: str, item: MediaItem, caller: Principal) -> None:
        await self._audit.note(
            session,
            action,
            item.project_id,
            actor_id=caller.user_id,
            subject=(item.kind, item.id),
            attempt=item.attempt,
            engine=item.engine,
            language=item.language,
        )
