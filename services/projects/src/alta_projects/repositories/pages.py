"""A stretch of an ordered list, and where the next one begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Up to `limit` things; `next_after` is the sort key of the last one when there are more behind it."""

    items: Sequence[T]
    next_after: UUID | None


def slice_of(rows: Sequence[tuple[UUID, T]], limit: int) -> Slice[T]:
    """Return the first `limit` of `rows` (key and thing), which were read with one more than the limit."""
    shown = rows[:limit]
    return Slice([thing for _, thing in shown], shown[-1][0] if len(rows) > limit else None)
