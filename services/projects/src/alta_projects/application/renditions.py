"""What is made from an original together with its result: the searchable PDF, pages as images."""

import asyncio
import os
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import structlog

from alta_common.contracts.principal import Principal
from alta_common.errors import ConflictError, NotFoundError, UnavailableError
from alta_common.ids import new_id
from alta_common.workers.errors import WorkerCrashedError, WorkerMemoryError, WorkerStartError, WorkerTimeoutError
from alta_common.workers.wire import Task
from alta_projects.application.items import ItemService
from alta_projects.application.local_copies import LocalCopies
from alta_projects.application.renderers import Renderers
from alta_projects.application.result_reader import ResultReader, StoredResult
from alta_projects.formats.errors import (
    FormatNotAvailableError,
    NoSuchPageError,
    PageNotShownError,
    UnreadableOriginalError,
)
from alta_projects.formats.page_image import WantedImage
from alta_projects.models.document import Document

log = structlog.get_logger()

_ROTATIONS_KEPT = 256
_TOO_MUCH = "this original needs more time or memory than there is for it; it can be downloaded as it is"
_FAILED = "this original cannot be shown in another form; it can be downloaded as it is"


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file ready to be sent. It may have no name any more, and is gone when closed."""

    file: BinaryIO
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PageView:
    """A page of a document as it is to be drawn."""

    document: Document
    wanted: WantedImage

    @property
    def version(self) -> str:
        """Return what names this picture among all: nothing else decides how it looks."""
        wanted = self.wanted
        return f"{self.document.sha256}-{wanted.number}-{wanted.rotation}-{wanted.width}-{wanted.kind.lower()}"


class RenditionService:
    """Use cases around renditions. All work on originals happens in the renderers' processes."""

    def __init__(self, items: ItemService, results: ResultReader, copies: LocalCopies, renderers: Renderers) -> None:
        self._items = items
        self._results = results
        self._copies = copies
        self._renderers = renderers
        self._rotations: OrderedDict[str, dict[int, int]] = OrderedDict()

    async def searchable_pdf(self, result: StoredResult) -> OpenFile:
        """Return the original with its result as invisible text. Raises `FormatNotAvailableError`."""
        item, target = result.item, self._copies.folder / f"{new_id()}.pdf"
        async with self._copies.hold(item.object_key) as original, self._copies.hold(result.key) as canonical:
            arguments = {"original": original, "media_type": item.content_type, "result": canonical, "target": target}
            task = Task("alta_projects.formats.searchable.job:make_searchable", arguments)
            try:
                is_made = await self._render(task, FormatNotAvailableError)
                return await asyncio.to_thread(_opened, target if is_made else original)
            finally:
                # What is open stays readable without a name; what a killed worker has left behind goes with it.
                await asyncio.to_thread(_remove, target)

    async def view_page(
        self, caller: Principal, document_id: UUID, wanted: WantedImage, revision: int | None = None
    ) -> PageView:
        """Return how a page is to be drawn: turned as in its last result, or that of `revision`, where there is one.

        Raises `NotFoundError` kinds for a document, revision or page that is not there.
        """
        document = await self._items.get(caller, Document, document_id)
        key = document.result_key
        if revision is not None:
            key = (await self._results.result(caller, Document, document_id, revision)).key
        if wanted.number < 1 or (document.pages is not None and wanted.number > document.pages):
            raise NoSuchPageError(f"the document has no page {wanted.number}")
        turned = (await self._rotations_in(key)).get(wanted.number, 0) if key is not None else 0
        return PageView(document, replace(wanted, rotation=turned))

    async def draw_page(self, view: PageView) -> bytes:
        """Return the image file of a page. Raises `NoSuchPageError` and `PageNotShownError`."""
        async with self._copies.hold(view.document.object_key) as original:
            arguments = {"original": original, "media_type": view.document.content_type, "wanted": view.wanted}
            task = Task("alta_projects.formats.page_image:draw_page", arguments)
            image: bytes = await self._render(task, PageNotShownError)
            return image

    async def _rotations_in(self, key: str) -> dict[int, int]:
        """Return how the pages of a result are turned; read from it once, as it may be large."""
        if key not in self._rotations:
            async with self._copies.hold(key) as canonical:
                task = Task("alta_projects.formats.page_image:rotations_in", {"result": canonical})
                self._rotations[key] = await self._render(task, PageNotShownError)
        self._rotations.move_to_end(key)
        rotations = self._rotations[key]
        while len(self._rotations) > _ROTATIONS_KEPT:
            self._rotations.popitem(last=False)
        return rotations

    async def _render(self, task: Task, refusal: type[ConflictError]) -> Any:
        """Return what a renderer makes; `refusal` is raised for what this original does to it, whatever that is."""
        try:
            return await self._twice(task)
        except UnreadableOriginalError as error:
            raise refusal(f"{error}; the original itself can be downloaded") from error
        except WorkerStartError as error:
            raise UnavailableError("no renderer could be started") from error
        except (WorkerTimeoutError, WorkerCrashedError) as error:
            raise refusal(_TOO_MUCH) from error
        except (NotFoundError, UnavailableError):
            raise
        except Exception as error:
            # A fault of ours that this original brings out: it would do so again.
            log.exception("rendering.failed", function=task.function)
            raise refusal(_FAILED) from error

    async def _twice(self, task: Task) -> Any:
        """Run a task, and once more when its worker was lost: that may have been somebody else's doing."""
        try:
            return await self._renderers.run(task)
        except WorkerMemoryError:
            raise
        except WorkerCrashedError:
            return await self._renderers.run(task)


def _opened(path: Path) -> OpenFile:
    file = path.open("rb")
    return OpenFile(file, os.fstat(file.fileno()).st_size)


def _remove(target: Path) -> None:
    for path in target.parent.glob(f"{target.stem}.*"):
        path.unlink(missing_ok=True)
