"""What the routes of documents and voice samples share about runs: stopping one, beginning another."""

from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Depends, Response

from alta_common.contracts.principal import Principal
from alta_common.http.etags import IfMatch
from alta_common.http.idempotency import StoredAnswer
from alta_common.http.principal import CurrentPrincipal
from alta_common.http.replay import replay
from alta_projects.api.answers import answer, item_etag, refuse_stale, stored_answer
from alta_projects.api.deps import App, OnceMaker, OncePerKey
from alta_projects.api.engines import named_engine
from alta_projects.api.kinds import ItemKind
from alta_projects.api.schemas import ReprocessIn
from alta_projects.application.runs import RunService
from alta_projects.models.media_item import MediaItem

Item = TypeVar("Item", bound=MediaItem)


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A request to stop the present run of an item."""

    caller: Principal
    runs: RunService

    async def take(self, kind: ItemKind[Item], item_id: UUID) -> Response:
        """Stop the run and answer with the item."""
        item = await self.runs.cancel(self.caller, kind.model, item_id)
        return answer(_accepted(kind, item))


@dataclass(frozen=True, slots=True)
class ReprocessRequest:
    """A request to read an item again."""

    caller: Principal
    runs: RunService
    once: OnceMaker
    if_match: str | None

    async def take(self, kind: ItemKind[Item], item_id: UUID, body: ReprocessIn) -> Response:
        """Begin another run and answer with the item."""
        answer_of = partial(_accepted, kind)
        said = body.model_dump(exclude_unset=True)
        if "engine" in said:
            said["engine"] = named_engine(kind.model.KIND, said["engine"], "/engine")
        made = await self.runs.read_again(
            self.caller,
            kind.model,
            item_id,
            said,
            once=self.once(answer_of),
            refuse_stale=lambda item: refuse_stale(self.if_match, item_etag(item)),
        )
        return replay(made) if isinstance(made, StoredAnswer) else answer(answer_of(made))


def _accepted(kind: ItemKind[Item], item: Item) -> StoredAnswer:
    headers = {"ETag": item_etag(item), "Location": kind.path_of(item)}
    return stored_answer(HTTPStatus.ACCEPTED, kind.shown(item), headers)


async def _cancel_request(caller: CurrentPrincipal, app: App) -> CancelRequest:
    return CancelRequest(caller, app.runs)


async def _reprocess_request(
    caller: CurrentPrincipal, app: App, once: OncePerKey, if_match: IfMatch = None
) -> ReprocessRequest:
    return ReprocessRequest(caller, app.runs, once, if_match)


Cancel = Annotated[CancelRequest, Depends(_cancel_request)]
Reprocess = Annotated[ReprocessRequest, Depends(_reprocess_request)]
