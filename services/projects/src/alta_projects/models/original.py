"""The file behind an item."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Original:
    """An uploaded file as it is stored: its name, what its bytes are, and `attributes`, which its owner gave it."""

    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    attributes: dict[str, Any]
