"""Reading a stored document and telling what came of it."""

from collections.abc import Mapping

from alta_common.contracts.projects import DocumentOcrCancelled, DocumentOcrRequested
from alta_common.engines.progress import Publisher
from alta_common.engines.rules import WorkRules
from alta_common.engines.work import EngineWork
from alta_common.storage.object_storage import ObjectStorage
from alta_ocr.application.documents import Documents
from alta_ocr.engines.engine import OcrEngine


class ExtractionService:
    """Reads documents with the engine that the request or the deployment names."""

    def __init__(
        self, storage: ObjectStorage, engines: Mapping[str, OcrEngine], publisher: Publisher, rules: WorkRules
    ) -> None:
        self._work = EngineWork(Documents(), storage, engines, publisher, rules)

    async def extract(self, request: DocumentOcrRequested) -> None:
        """Read the document, store the result, publish what came of it. Twice is once: see `EngineWork.perform`."""
        await self._work.perform(request)

    async def cancel(self, cancellation: DocumentOcrCancelled) -> None:
        """Stop reading a document whose result nobody wants any more."""
        self._work.cancel(cancellation.document_id, cancellation.attempt, cancellation.reason)

    async def give_up(self, request: DocumentOcrRequested, error: Exception) -> None:
        """Tell the owner that the document was not read, although nothing is wrong with it that we know of."""
        detail = "The document could not be read because of a fault on our side. Please try again later."
        await self._work.give_up(request, error, detail)
