"""The kinds of item as clients see them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from alta_projects.api.schemas import DocumentOut, DocumentRevisionOut, VoiceSampleOut, VoiceSampleRevisionOut
from alta_projects.models.document import Document
from alta_projects.models.media_item import MediaItem
from alta_projects.models.result_revision import ResultRevision
from alta_projects.models.voice_sample import VoiceSample

Item = TypeVar("Item", bound=MediaItem)


@dataclass(frozen=True, slots=True)
class ItemKind(Generic[Item]):
    """A kind of item: its model, how one of them and one of its results are shown, where they are found."""

    model: type[Item]
    shown: Callable[[Item], BaseModel]
    revision_shown: Callable[[ResultRevision], BaseModel]
    place: str

    def path_of(self, item: Item) -> str:
        """Return where an item is found."""
        return f"{self.place}/{item.id}"


DOCUMENTS = ItemKind(Document, DocumentOut.of, DocumentRevisionOut.of, "/v1/documents")
VOICE_SAMPLES = ItemKind(VoiceSample, VoiceSampleOut.of, VoiceSampleRevisionOut.of, "/v1/voice-samples")
