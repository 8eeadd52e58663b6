"""The canonical result of a request in object storage: written once, found again when the request comes twice."""

import asyncio
import hashlib
from typing import Generic, TypeVar

import structlog
from pydantic import BaseModel

from alta_common.engines.requests import EngineRequest
from alta_common.errors import NotFoundError
from alta_common.storage.object_storage import ObjectStorage, StoredObject

log = structlog.get_logger()

ResultT = TypeVar("ResultT", bound=BaseModel)


class ResultStore(Generic[ResultT]):
    """Keeps results as the JSON of `model`, those of two requests for the same file apart."""

    def __init__(self, storage: ObjectStorage, model: type[ResultT]) -> None:
        self._storage = storage
        self._model = model

    async def find(self, request: EngineRequest) -> tuple[StoredObject, ResultT] | None:
        """Return the whole result that an earlier delivery of `request` has stored, or None."""
        key = _key(request)
        try:
            content = await self._storage.read(key)
        except NotFoundError:
            return None
        return await asyncio.to_thread(self._parsed, key, content)

    async def store(self, request: EngineRequest, content: bytes) -> StoredObject:
        """Store `content`, the JSON of a result, as the result of `request`."""
        return await self._storage.put_bytes(_key(request), content, "application/json")

    def _parsed(self, key: str, content: bytes) -> tuple[StoredObject, ResultT] | None:
        try:
            result = self._model.model_validate_json(content)
        except ValueError as error:
            log.warning("result.unusable", key=key, error=str(error)[:200])
            return None
        return StoredObject(key, len(content), hashlib.sha256(content).hexdigest()), result


def _key(request: EngineRequest) -> str:
    return f"results/{request.aggregate_id}/{request.event_id}.json"
