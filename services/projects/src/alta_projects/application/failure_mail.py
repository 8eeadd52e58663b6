"""Regular writing to people about what of theirs could not be read: one mail for many failures."""

from collections.abc import Sequence
from datetime import timedelta

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.clock import utc_now
from alta_common.contracts.projects import ProjectsEmailRequested
from alta_common.db.alone import alone
from alta_common.db.engine import Sessions
from alta_common.ids import new_id
from alta_common.outbox import Outbox
from alta_projects.application.metrics import failures_told
from alta_projects.models.media_item import MediaItem
from alta_projects.repositories.failures import FailureRepository, Uploader

log = structlog.get_logger()

_LOCK = "projects.failure-mail"
# Files that were uploaded together fail together.
_GATHERED_FOR = timedelta(seconds=10)
_SHOWN = 20
# An event has 64 KiB at the most, and a line of a mail should be one.
_FILENAME_CHARACTERS = 120
_DETAIL_CHARACTERS = 300


class FailureMail:
    """Writes to uploaders, each failure once: the mail's event and the note that it is told are one transaction.

    An advisory lock lets one replica write while the others pass. `pause` is the time between two mails to one person
    about one project: meanwhile failures gather. Who is no member any more, or has an address that we do not know, is
    not written to.
    """

    def __init__(self, sessions: Sessions, outbox: Outbox, *, pause: timedelta) -> None:
        self._sessions = sessions
        self._outbox = outbox
        self._pause = pause

    async def tell(self) -> None:
        """Write to everybody who is to be written to now. Raises what the database raises."""
        while await self._tell_next():
            pass

    async def _tell_next(self) -> bool:
        """Write to one person about one project; return whether there may be another."""
        async with alone(self._sessions, _LOCK) as session:
            if session is None:
                return False
            now, failures = utc_now(), FailureRepository(session)
            uploader = await failures.find_uploader(failed_before=now - _GATHERED_FOR, told_before=now - self._pause)
            if uploader is None:
                return False
            first = await failures.lock_first(uploader, _SHOWN)
            if not first:
                # Each of them is being changed just now: read again, perhaps. What is left is told the next time.
                return False
            await self._write(session, uploader, first, await failures.mark_told(uploader, now))
        return True

    async def _write(self, session: AsyncSession, uploader: Uploader, first: Sequence[MediaItem], count: int) -> None:
        if uploader.email is None or not uploader.is_member:
            log.info("failures.nobody_to_tell", project_id=str(uploader.project_id), count=count)
        else:
            await self._outbox.add(session, _mail(uploader, uploader.email, first, count))
            failures_told.inc(count)
            log.info("failures.told", project_id=str(uploader.project_id), count=count)


def _mail(uploader: Uploader, to: str, first: Sequence[MediaItem], count: int) -> ProjectsEmailRequested:
    shown = [
        {
            "filename": _short(item.filename, _FILENAME_CHARACTERS),
            "detail": _short(item.error_detail or item.error_code or "", _DETAIL_CHARACTERS),
            "retryable": bool(item.error_retryable),
        }
        for item in first
    ]
    values = {"project_name": uploader.project_name, "count": str(count), "items": orjson.dumps(shown).decode()}
    return ProjectsEmailRequested(email_id=new_id(), template="items_failed", to=to, values=values)


def _short(words: str, characters: int) -> str:
    return words if len(words) <= characters else words[: characters - 1] + "…"
