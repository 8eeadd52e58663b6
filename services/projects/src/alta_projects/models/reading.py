"""How an item is to be read: by which engine, in which language, by when; of a recording, how its channels are heard.

What a request says goes before what the project's settings say, and that before what the deployment has.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints, ValidationError, field_validator

from alta_common.contracts.engines import EngineKind, canonical_engine
from alta_common.contracts.projects import Channels
from alta_common.errors import FieldError, InvalidError

LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
# The longest tag that software is expected to take (RFC 5646 section 4.4.1).
MAX_LANGUAGE = 35
# Markers of cancelled runs are kept for a week: a run must not wait longer than that.
MAX_DEADLINE = timedelta(days=7)

Language = Annotated[str, StringConstraints(pattern=LANGUAGE, max_length=MAX_LANGUAGE)]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was said about engine, language and channels; None leaves it to whoever is asked next."""

    engine: str | None = None
    language: str | None = None
    channels: Channels | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one run of an item is asked for. Without an engine the deployment's own reads; `channels` are sound's."""

    engine: str | None
    language: str | None
    deadline_at: datetime
    channels: Channels | None = None


class ReadingSettings(BaseModel):
    """What a project's settings say about reading its items of one kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    KIND: ClassVar[EngineKind]

    engine: str | None = Field(default=None, description="Who reads what names no engine itself.")
    language: Language | None = Field(default=None, description="Language of what names none itself (BCP 47).")
    deadline_minutes: Annotated[StrictInt, Field(ge=1, le=int(MAX_DEADLINE.total_seconds() // 60))] | None = Field(
        default=None, description="What has not been read after so many minutes fails with `timeout`."
    )

    @field_validator("engine")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        try:
            return None if name is None else canonical_engine(cls.KIND, name)
        except InvalidError as error:
            raise ValueError(error.detail) from error

    def reading(self, wishes: Wishes, now: datetime, patience: timedelta) -> Reading:
        """Return what a run is asked for that begins `now`; `patience` is the deployment's."""
        minutes = self.deadline_minutes
        deadline = timedelta(minutes=minutes) if minutes is not None else patience
        return Reading(wishes.engine or self.engine, wishes.language or self.language, now + deadline)


class DocumentSettings(ReadingSettings):
    """`settings.documents` of a project."""

    KIND: ClassVar[EngineKind] = "document"


class VoiceSampleSettings(ReadingSettings):
    """`settings.voice_samples` of a project."""

    KIND: ClassVar[EngineKind] = "voice_sample"

    channels: Channels | None = Field(default=None, description="How the channels of what does not say are heard.")

    def reading(self, wishes: Wishes, now: datetime, patience: timedelta) -> Reading:
        """Return what a run is asked for that begins `now`; `patience` is the deployment's."""
        return replace(super().reading(wishes, now, patience), channels=wishes.channels or self.channels or "mixed")


SECTIONS: dict[str, type[ReadingSettings]] = {"documents": DocumentSettings, "voice_samples": VoiceSampleSettings}
"""The parts of a project's settings that say how its items are read; the rest is not looked at here."""


def checked_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a project's settings with engines under their canonical names.

    Raises `InvalidError` that points at what is wrong: `/settings/documents/engine`.
    """
    checked = dict(settings)
    for name, section in SECTIONS.items():
        if settings.get(name) is not None:
            checked[name] = _checked(section, name, settings[name])
    return checked


def settings_of(kind: EngineKind, settings: dict[str, Any]) -> ReadingSettings:
    """Return what a project's stored settings say about one kind; what an older version let in counts for nothing."""
    name, section = next((name, section) for name, section in SECTIONS.items() if kind == section.KIND)
    try:
        return section.model_validate(settings.get(name) or {})
    except ValidationError:
        return section()


def _checked(section: type[ReadingSettings], name: str, given: object) -> dict[str, Any]:
    try:
        valid = section.model_validate(given)
    except ValidationError as error:
        wrong = [_field_error(f"/settings/{name}", one) for one in error.errors(include_url=False)]
        raise InvalidError(wrong[0].detail, wrong) from error
    said = cast("dict[str, Any]", given)
    return {key: getattr(valid, key) for key in said}


def _field_error(pointer: str, error: Any) -> FieldError:
    path = "".join(f"/{part}" for part in error["loc"])
    return FieldError(pointer + path, str(error["msg"]).removeprefix("Value error, "))
