"""What the routes of documents and voice samples share about results."""

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import PurePath
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Depends, Query, Response
from fastapi.responses import StreamingResponse

from alta_common.contracts.principal import Principal
from alta_common.http.etags import IfNoneMatch, etag_of, not_modified
from alta_common.http.pagination import Cursor, InvalidCursorError, Limit, Page, decode_cursor, encode_cursor
from alta_common.http.principal import CurrentPrincipal
from alta_projects.api.answers import CACHE_CONTROL, listed
from alta_projects.api.deps import App
from alta_projects.api.downloads import file_response, started
from alta_projects.api.kinds import ItemKind
from alta_projects.application.renditions import RenditionService
from alta_projects.application.result_reader import ResultReader
from alta_projects.formats.table import OutputFormat
from alta_projects.models.media_item import MediaItem

Item = TypeVar("Item", bound=MediaItem)

# What PostgreSQL counts with.
_MAX_REVISION = 2**31 - 1

Revision = Annotated[
    int | None, Query(ge=1, le=_MAX_REVISION, description="Which result, as `revisions` lists them; none: the last.")
]


@dataclass(frozen=True, slots=True)
class ResultRequest:
    """A request for results."""

    caller: Principal
    results: ResultReader
    renditions: RenditionService
    if_none_match: str | None

    async def read(
        self, kind: ItemKind[Item], item_id: UUID, wanted: OutputFormat, revision: int | None = None
    ) -> Response:
        """Answer with a result in a format."""
        result = await self.results.result(self.caller, kind.model, item_id, revision)
        etag = etag_of(f"{result.revision}-{result.sha256}-{wanted.name}")
        headers = {"ETag": etag, "Cache-Control": CACHE_CONTROL}
        if not_modified(self.if_none_match, etag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        if wanted.needs_original:
            made = await self.renditions.searchable_pdf(result)
            name = PurePath(result.item.filename).stem + wanted.extension
            return file_response(made, name, wanted.media_type, headers)
        if wanted.render is None:
            return StreamingResponse(await started(result.stream()), headers=headers, media_type=wanted.media_type)
        return Response(await result.rendered(wanted.render), headers=headers, media_type=wanted.media_type)


@dataclass(frozen=True, slots=True)
class RevisionListRequest:
    """Which revisions to list."""

    caller: Principal
    results: ResultReader
    limit: int
    cursor: str | None
    if_none_match: str | None

    async def page(self, kind: ItemKind[Item], item_id: UUID) -> Response:
        """Answer with a page of an item's revisions."""
        found = await self.results.list_revisions(
            self.caller, kind.model, item_id, before=_before(self.cursor), limit=self.limit + 1
        )
        shown = found[: self.limit]
        more = encode_cursor({"before": shown[-1].revision}) if len(found) > self.limit else None
        return listed(Page(items=[kind.revision_shown(one) for one in shown], next_cursor=more), self.if_none_match)


def _before(cursor: str | None) -> int | None:
    """Return the number below which the page begins. Raises `InvalidCursorError`."""
    if cursor is None:
        return None
    before = decode_cursor(cursor).get("before")
    if type(before) is not int or not 0 < before <= _MAX_REVISION:
        raise InvalidCursorError
    return before


async def _result_request(caller: CurrentPrincipal, app: App, if_none_match: IfNoneMatch = None) -> ResultRequest:
    return ResultRequest(caller, app.results, app.renditions, if_none_match)


async def _revision_list_request(
    caller: CurrentPrincipal, app: App, limit: Limit = 50, cursor: Cursor = None, if_none_match: IfNoneMatch = None
) -> RevisionListRequest:
    return RevisionListRequest(caller, app.results, limit, cursor, if_none_match)


ResultOf = Annotated[ResultRequest, Depends(_result_request)]
RevisionList = Annotated[RevisionListRequest, Depends(_revision_list_request)]
