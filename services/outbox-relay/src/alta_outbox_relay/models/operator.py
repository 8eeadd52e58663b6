"""Who operates."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Operator:
    """A platform admin (`user_id`), or somebody at a command line, whose `name` is their own word."""

    user_id: UUID | None
    name: str | None = None

    def __str__(self) -> str:
        return str(self.user_id) if self.user_id else f"cli:{self.name}"
