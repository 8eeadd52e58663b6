"""What the routes of documents and voice samples share beside the upload."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Depends, Query, Request, Response

from alta_common.contracts.principal import Principal
from alta_common.http.etags import IfNoneMatch, not_modified
from alta_common.http.idempotency import StoredAnswer
from alta_common.http.pagination import Cursor, Limit, Page
from alta_common.http.principal import CurrentPrincipal
from alta_projects.api.answers import item_etag, listed, stored_answer, versioned
from alta_projects.api.deps import App, cursor_of, position_of
from alta_projects.api.downloads import content_response
from alta_projects.api.fields import Moment, SearchText
from alta_projects.api.kinds import ItemKind
from alta_projects.application.items import ItemService
from alta_projects.application.uploads import Uploaded
from alta_projects.models.media_item import ItemStatus, MediaItem
from alta_projects.repositories.items import ItemFilter

Item = TypeVar("Item", bound=MediaItem)

MAX_WAIT_SECONDS = 60

Wait = Annotated[
    int,
    Query(
        ge=0,
        le=MAX_WAIT_SECONDS,
        description="Seconds to wait for status or progress to change; with `If-None-Match`, for another version.",
    ),
]


@dataclass(frozen=True, slots=True)
class ItemListRequest:
    """Which items to list."""

    caller: Principal
    items: ItemService
    wanted: ItemFilter
    limit: int
    cursor: str | None
    if_none_match: str | None

    async def page(self, kind: ItemKind[Item], project_id: UUID) -> Response:
        """Answer with a page of a project's items."""
        found = await self.items.list_items(
            self.caller, kind.model, project_id, self.wanted, after=position_of(self.cursor), limit=self.limit
        )
        items = [kind.shown(item) for item in found.items]
        return listed(Page(items=items, next_cursor=cursor_of(found.next_after)), self.if_none_match)


@dataclass(frozen=True, slots=True)
class ItemRequest:
    """A request about one item."""

    request: Request
    caller: Principal
    items: ItemService
    if_none_match: str | None

    async def read(self, kind: ItemKind[Item], item_id: UUID, wait: int) -> Response:
        """Answer with the item, waiting for news of it if so asked."""
        if wait:
            patience = timedelta(seconds=wait)
            item = await self.items.wait_for_news(self.caller, kind.model, item_id, patience, self._is_known())
        else:
            item = await self.items.get(self.caller, kind.model, item_id)
        return versioned(kind.shown(item), item_etag(item), self.if_none_match)

    async def content(self, kind: ItemKind[Item], item_id: UUID) -> Response:
        """Answer with the original."""
        item = await self.items.get(self.caller, kind.model, item_id)
        return await content_response(self.request, self.items, item)

    async def delete(self, kind: ItemKind[Item], item_id: UUID) -> None:
        """Take the item away."""
        await self.items.delete(self.caller, kind.model, item_id)

    def _is_known(self) -> Callable[[MediaItem], bool] | None:
        if self.if_none_match is None:
            return None
        return lambda item: not_modified(self.if_none_match, item_etag(item))


async def _item_list_request(
    caller: CurrentPrincipal,
    app: App,
    *,
    status: Annotated[list[ItemStatus] | None, Query(description="Only these; may be given several times.")] = None,
    created_after: Annotated[Moment | None, Query(description="Only those made after this moment.")] = None,
    q: Annotated[SearchText | None, Query(description="Only those whose filename contains this.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    if_none_match: IfNoneMatch = None,
) -> ItemListRequest:
    return ItemListRequest(caller, app.items, ItemFilter(status, created_after, q), limit, cursor, if_none_match)


async def _item_request(
    request: Request, caller: CurrentPrincipal, app: App, if_none_match: IfNoneMatch = None
) -> ItemRequest:
    return ItemRequest(request, caller, app.items, if_none_match)


ItemList = Annotated[ItemListRequest, Depends(_item_list_request)]
OneItem = Annotated[ItemRequest, Depends(_item_request)]


def uploaded_answer(kind: ItemKind[Item], uploaded: Uploaded[Item]) -> StoredAnswer:
    """Return the answer to an upload: 202 for a new item, 200 for the one that holds the same bytes."""
    path = kind.path_of(uploaded.item)
    headers = {"ETag": item_etag(uploaded.item)}
    if uploaded.is_new:
        return stored_answer(HTTPStatus.ACCEPTED, kind.shown(uploaded.item), {**headers, "Location": path})
    return stored_answer(HTTPStatus.OK, kind.shown(uploaded.item), {**headers, "Content-Location": path})
