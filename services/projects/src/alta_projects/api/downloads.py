"""Originals on their way out: ranges (RFC 9110 section 14), names (RFC 6266), nothing that a browser would run."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from alta_common.http.etags import etag_of, not_modified
from alta_common.http.problems import problem_response
from alta_common.storage.object_storage import CHUNK_BYTES
from alta_projects.api.answers import CACHE_CONTROL
from alta_projects.application.items import ItemService
from alta_projects.application.renditions import OpenFile
from alta_projects.models.media_item import MediaItem

_RANGE = re.compile(r"bytes=\s*([0-9]{0,100})-([0-9]{0,100})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int


class UnsatisfiableRangeError(Exception):
    """The range lies behind the end."""


def range_of(header: str | None, size: int) -> ByteRange | None:
    """Return the one range that `Range` asks for.

    None for none, for several and for what cannot be read: the whole is a right answer then (RFC 9110 section 14.2).
    Raises `UnsatisfiableRangeError` when nothing of it lies within `size`.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None
    if start >= size or start >= end:
        raise UnsatisfiableRangeError
    return ByteRange(start, end)


async def content_response(request: Request, items: ItemService, item: MediaItem) -> Response:
    """Return an item's original, or the part of it that was asked for."""
    etag = etag_of(item.sha256)
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": CACHE_CONTROL,
        "Content-Disposition": content_disposition(item.filename),
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    if not_modified(request.headers.get("if-none-match"), etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    try:
        asked = range_of(_range_header(request, etag), item.size_bytes)
    except UnsatisfiableRangeError:
        return problem_response(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "range_not_satisfiable",
            f"the file has {item.size_bytes} bytes",
            instance=request.url.path,
            headers={"Content-Range": f"bytes */{item.size_bytes}"},
        )
    part = asked or ByteRange(0, item.size_bytes)
    headers["Content-Length"] = str(part.end - part.start)
    if asked:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{item.size_bytes}"
    status = HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=item.content_type)
    chunks = await started(items.content(item, part.start, part.end))
    return StreamingResponse(chunks, status, headers, item.content_type)


async def started(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return `chunks` with the first one read: a missing object must be known before the answer has begun."""
    first = await anext(chunks, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_of_them()


def file_response(made: OpenFile, name: str, media_type: str, headers: Mapping[str, str]) -> Response:
    """Return a file that was made for this request, to be saved as `name`."""
    about = {
        "Content-Length": str(made.size_bytes),
        "Content-Disposition": content_disposition(name),
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(_pieces(made.file), headers={**headers, **about}, media_type=media_type)


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield piece


def content_disposition(filename: str) -> str:
    """Return the header that saves a file under its name, for old and new clients (RFC 6266, RFC 8187)."""
    plain = "".join(one if " " <= one <= "~" and one not in '"\\%' else "_" for one in filename)
    value = f'attachment; filename="{plain}"'
    return value if plain == filename else f"{value}; filename*=UTF-8''{quote(filename, safe='')}"


def _range_header(request: Request, etag: str) -> str | None:
    """Return `Range` unless `If-Range` says that the client's part is of another version (RFC 9110 section 13.1.5)."""
    if_range = request.headers.get("if-range")
    return request.headers.get("range") if if_range is None or if_range.strip() == etag else None
