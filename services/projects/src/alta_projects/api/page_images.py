"""The route of pages as images."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from alta_common.http.etags import IfNoneMatch, etag_of, not_modified
from alta_common.http.principal import CurrentPrincipal
from alta_projects.api.answers import CACHE_CONTROL
from alta_projects.api.deps import App
from alta_projects.api.problems import NotAcceptableError
from alta_projects.api.responses import page_image_responses
from alta_projects.api.results import Revision
from alta_projects.formats.page_image import ImageKind, WantedImage

router = APIRouter(prefix="/v1", tags=["Documents"])

# The picture of a page as one revision has it never changes.
_FOR_GOOD = "private, max-age=31536000, immutable"

Width = Annotated[int, Query(ge=16, le=4000, description="Pixels across; fewer where the page would be very high.")]
Accept = Annotated[str, Header(description="`image/jpeg`, `image/webp` or `image/png`; the first of these that fits.")]


@router.get("/documents/{document_id}/pages/{page}/image", responses=page_image_responses(), response_class=Response)
async def get_page_image(
    document_id: UUID,
    page: int,
    caller: CurrentPrincipal,
    app: App,
    *,
    width: Width = 1200,
    revision: Revision = None,
    accept: Accept = "*/*",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """See a page (from 1) as an image: upright, so that the boxes of the result fit it.

    While there is no result it stands as the file shows it. With `revision` the answer may be kept for good.
    """
    kind = preferred(accept)
    view = await app.renditions.view_page(caller, document_id, WantedImage(page, width, 0, kind), revision)
    headers = {
        "ETag": etag_of(view.version),
        "Cache-Control": CACHE_CONTROL if revision is None else _FOR_GOOD,
        "Vary": "Accept",
    }
    if not_modified(if_none_match, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(await app.renditions.draw_page(view), headers=headers, media_type=kind.media_type)


def preferred(accept: str) -> ImageKind:
    """Return the kind of image that `Accept` (RFC 9110, 12.5.1) likes best, JPEG among equals.

    Raises `NotAcceptableError` when it takes none.
    """
    weights = {kind: _weight(kind.media_type, accept) for kind in ImageKind}
    best = max(ImageKind, key=lambda kind: weights[kind])
    if weights[best] == 0:
        raise NotAcceptableError("pages are drawn as JPEG, WebP or PNG, and `Accept` takes none of them")
    return best


def _weight(media_type: str, accept: str) -> float:
    """Return the quality that the most specific range gives to a media type."""
    weights = {}
    for one in accept.split(","):
        name, _, parameters = one.strip().partition(";")
        weights[name.strip().lower()] = _quality(parameters)
    for name in (media_type, "image/*", "*/*"):
        if name in weights:
            return weights[name]
    return 0.0


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
