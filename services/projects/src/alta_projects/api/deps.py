"""What routes are handed: the use cases, built in `main.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Depends, Request

from alta_common.http.idempotency import IdempotencyKeys, StoredAnswer
from alta_common.http.pagination import InvalidCursorError, decode_cursor, encode_cursor
from alta_common.http.principal import CurrentPrincipal
from alta_common.http.replay import IdempotencyKey
from alta_projects.application.items import ItemService
from alta_projects.application.live import LiveFeed
from alta_projects.application.members import MemberService
from alta_projects.application.once import Once
from alta_projects.application.projects import ProjectService
from alta_projects.application.renditions import RenditionService
from alta_projects.application.result_reader import ResultReader
from alta_projects.application.runs import RunService
from alta_projects.application.uploads import Intake, UploadService
from alta_projects.models.media_item import MediaItem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UseCases:
    """Everything that routes call."""

    projects: ProjectService
    members: MemberService
    uploads: UploadService
    items: ItemService
    results: ResultReader
    renditions: RenditionService
    runs: RunService
    live: LiveFeed
    heartbeat: timedelta
    keys: IdempotencyKeys
    intakes: dict[type[MediaItem], Intake]


# Asynchronous, like all dependencies here: FastAPI sends plain functions and classes through a pool of threads.
async def _use_cases(request: Request) -> UseCases:
    use_cases: UseCases = request.app.state.use_cases
    return use_cases


App = Annotated[UseCases, Depends(_use_cases)]


@dataclass(frozen=True, slots=True)
class OnceMaker:
    """Makes the `Once` of a request, as soon as it is known how what it makes is answered for."""

    keys: IdempotencyKeys
    caller_id: UUID
    key: str | None

    def __call__(self, answer_of: Callable[[T], StoredAnswer]) -> Once[T]:
        """Return how this request is recognised when it comes again."""
        return Once(self.keys, self.caller_id, self.key, answer_of)


async def _once_maker(app: App, caller: CurrentPrincipal, key: IdempotencyKey = None) -> OnceMaker:
    return OnceMaker(app.keys, caller.user_id, key)


OncePerKey = Annotated[OnceMaker, Depends(_once_maker)]


def position_of(cursor: str | None) -> UUID | None:
    """Return the id behind which the page begins. Raises `InvalidCursorError`."""
    if cursor is None:
        return None
    try:
        return UUID(decode_cursor(cursor)["after"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InvalidCursorError from error


def cursor_of(next_after: UUID | None) -> str | None:
    """Return the cursor of the next page."""
    return None if next_after is None else encode_cursor({"after": str(next_after)})
