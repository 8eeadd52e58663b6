"""A project, and what its settings may hold."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from alta_common.clock import utc_now
from alta_common.contracts.engines import EngineKind
from alta_common.errors import FieldError, InvalidError
from alta_common.ids import new_id
from alta_projects.models.base import Base
from alta_projects.models.reading import Reading, Wishes, checked_settings, settings_of

MAX_SETTINGS_BYTES = 16 * 1024


class Project(Base):
    """What documents, recordings and people are gathered in. Deleted ones are hidden at once and purged later."""

    __tablename__ = "project"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    settings: Mapped[dict[str, Any]]
    created_by: Mapped[UUID]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    version: Mapped[int]

    @classmethod
    def new(cls, name: str, description: str | None, settings: dict[str, Any], created_by: UUID) -> "Project":
        """Return a project that is about to exist. Raises `InvalidError` for settings that cannot be."""
        now = utc_now()
        return cls(
            id=new_id(),
            name=name,
            description=description,
            settings=_checked(settings),
            created_by=created_by,
            created_at=now,
            updated_at=now,
            deleted_at=None,
            version=1,
        )

    def change(self, changes: dict[str, Any]) -> list[str]:
        """Apply `name`, `description` and `settings` (a merge patch) and return the names of what became different.

        Raises `InvalidError` when the settings would be wrong or too large.
        """
        wanted = dict(changes)
        if "settings" in wanted:
            wanted["settings"] = _checked(merged(self.settings, wanted["settings"]))
        changed = [name for name, value in wanted.items() if getattr(self, name) != value]
        for name in changed:
            setattr(self, name, wanted[name])
        if changed:
            self.updated_at = utc_now()
            self.version += 1
        return changed

    def reading(self, kind: EngineKind, wishes: Wishes, patience: timedelta) -> Reading:
        """Return what a run that begins now is asked for, when `wishes` is what was said of it.

        `patience` is how long the deployment gives a run of which the project's settings say nothing.
        """
        return settings_of(kind, self.settings).reading(wishes, utc_now(), patience)

    def delete(self) -> None:
        """Hide the project; the sweep removes what it holds."""
        self.deleted_at = utc_now()
        self.version += 1


def _checked(settings: dict[str, Any]) -> dict[str, Any]:
    # Not orjson: 1e20 comes back from PostgreSQL as an integer of more bits than it writes.
    if len(json.dumps(settings, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_SETTINGS_BYTES:
        detail = f"the settings of a project have {MAX_SETTINGS_BYTES} bytes of JSON at the most"
        raise InvalidError(detail, [FieldError("/settings", detail)])
    return checked_settings(settings)


def merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return `target` with a JSON Merge Patch applied (RFC 7396): null removes, objects merge, all else replaces."""
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            present = result.get(name)
            result[name] = merged(present if isinstance(present, dict) else {}, value)
        else:
            result[name] = value
    return result
