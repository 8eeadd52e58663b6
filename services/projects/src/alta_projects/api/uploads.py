"""From a request to an upload: what the routes of documents and voice samples share."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, TypeVar, cast, get_args
from uuid import UUID

import orjson
from fastapi import Depends, Query, Request, Response
from pydantic import TypeAdapter, ValidationError

from alta_common.contracts.engines import EngineKind
from alta_common.contracts.media_types import MediaType
from alta_common.contracts.principal import Principal
from alta_common.contracts.projects import Channels
from alta_common.errors import FieldError, InvalidError, TooLargeError
from alta_common.http.idempotency import StoredAnswer
from alta_common.http.principal import CurrentPrincipal
from alta_common.http.replay import replay
from alta_projects.api.answers import answer
from alta_projects.api.deps import App, OnceMaker, OncePerKey, UseCases
from alta_projects.api.engines import CHANNELS_WORDS, ENGINE_WORDS, LANGUAGE_WORDS, named_engine
from alta_projects.api.fields import JsonObject
from alta_projects.api.items import uploaded_answer
from alta_projects.api.kinds import ItemKind
from alta_projects.api.multipart import FILE_FIELD, MultipartUpload
from alta_projects.api.responses import Responses, problems
from alta_projects.application.uploads import UploadOptions
from alta_projects.models.media_item import MediaItem
from alta_projects.models.reading import LANGUAGE, MAX_LANGUAGE, Wishes

Item = TypeVar("Item", bound=MediaItem)

# What boundaries, part headers and small fields may add to a file.
_FORM_OVERHEAD_BYTES = 256 * 1024

# Those that only one kind has, besides the others.
_OWN_FIELDS: dict[EngineKind, set[str]] = {"document": set(), "voice_sample": {"channels"}}

_METADATA: TypeAdapter[dict[str, Any]] = TypeAdapter(JsonObject)


class FormUpload:
    """A multipart form as the use case wants it. Fields of the form go before `wishes`, which the query named."""

    def __init__(self, form: MultipartUpload, kind: EngineKind, wishes: Wishes) -> None:
        self._form = form
        self._kind = kind
        self._wishes = wishes

    async def open(self) -> str:
        """Read as far as the file's beginning and return its name."""
        return await self._form.open()

    def chunks(self) -> AsyncIterator[bytes]:
        """Return an iterator over the file's bytes."""
        return self._form.chunks()

    async def finish(self) -> UploadOptions:
        """Read the rest of the form and return what was said about the file."""
        fields = await self._form.finish()
        unknown = fields.keys() - {"metadata", "language", "engine"} - _OWN_FIELDS[self._kind]
        if unknown:
            name = min(unknown)
            raise _wrong(name, f"there is no field {name!r} here")
        engine = named_engine(self._kind, fields.get("engine") or None, "/engine") or self._wishes.engine
        language = _language(fields.get("language") or None) or self._wishes.language
        channels = _channels(fields.get("channels") or None) or self._wishes.channels
        return UploadOptions(_metadata(fields.get("metadata")), Wishes(engine, language, channels))


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """All that an upload's route needs besides project and kind."""

    request: Request
    caller: Principal
    app: UseCases
    once: OnceMaker
    language: str | None
    engine: str | None
    allow_duplicate: bool
    channels: Channels | None = None

    async def take(self, kind: ItemKind[Item], project_id: UUID) -> Response:
        """Take the file in and answer for it."""
        self._refuse_too_large(kind.model)
        # Before the body: who names an engine that nobody has need not send a file.
        wishes = Wishes(named_engine(kind.model.KIND, self.engine, "/query/engine"), self.language, self.channels)
        form = MultipartUpload(self.request.headers.get("content-type"), self.request.stream())
        answer_of = partial(uploaded_answer, kind)
        made = await self.app.uploads.upload(
            self.caller,
            kind.model,
            project_id,
            FormUpload(form, kind.model.KIND, wishes),
            self.once(answer_of),
            allow_duplicate=self.allow_duplicate,
        )
        return replay(made) if isinstance(made, StoredAnswer) else answer(answer_of(made))

    def _refuse_too_large(self, kind: type[MediaItem]) -> None:
        """Refuse by the announced length, before a byte of the body has been read."""
        limit = self.app.intakes[kind].max_bytes
        announced = self.request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit + _FORM_OVERHEAD_BYTES:
            raise TooLargeError(f"the file is larger than {limit} bytes")


async def _upload_request(
    request: Request,
    caller: CurrentPrincipal,
    app: App,
    once: OncePerKey,
    *,
    language: Annotated[
        str | None, Query(pattern=LANGUAGE, max_length=MAX_LANGUAGE, description=LANGUAGE_WORDS, examples=["de"])
    ] = None,
    engine: Annotated[str | None, Query(description=ENGINE_WORDS, examples=["local"])] = None,
    allow_duplicate: Annotated[
        bool, Query(description="Take the file in although the project has the same bytes already.")
    ] = False,
) -> UploadRequest:
    return UploadRequest(request, caller, app, once, language, engine, allow_duplicate)


Upload = Annotated[UploadRequest, Depends(_upload_request)]


async def _voice_upload_request(
    upload: Upload,
    channels: Annotated[Channels | None, Query(description=CHANNELS_WORDS, examples=["separate"])] = None,
) -> UploadRequest:
    return replace(upload, channels=channels)


VoiceUpload = Annotated[UploadRequest, Depends(_voice_upload_request)]

CHANNELS_FIELD = {
    "channels": {
        "type": "string",
        "enum": list(get_args(Channels)),
        "description": CHANNELS_WORDS,
        "examples": ["separate"],
    }
}
"""What the form of a recording has beside what all have."""


def upload_body(types: Sequence[MediaType], more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the OpenAPI description of an upload's body, which FastAPI does not see because we read it ourselves.

    `more` are fields that not all forms have.
    """
    names = ", ".join(one.name for one in types)
    properties = {
        FILE_FIELD: {"type": "string", "format": "binary", "description": f"The file, one of these: {names}."},
        "metadata": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "A JSON object that is kept with the file and given back.",
            "examples": ['{"box": 12, "year": 1848}'],
        },
        "language": {
            "type": "string",
            "pattern": LANGUAGE,
            "maxLength": MAX_LANGUAGE,
            "description": LANGUAGE_WORDS,
            "examples": ["en"],
        },
        "engine": {"type": "string", "description": ENGINE_WORDS, "examples": ["local"]},
        **(more or {}),
    }
    schema = {"type": "object", "required": [FILE_FIELD], "properties": properties, "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def upload_responses(model: type) -> Responses:
    """Return what an upload may answer besides 202."""
    place = {"schema": {"type": "string", "format": "uri-reference"}}
    return {
        HTTPStatus.OK.value: {
            "model": model,
            "description": "The project has these bytes already: this is what holds them.",
            "headers": {"Content-Location": place},
        },
        HTTPStatus.ACCEPTED.value: {"description": "Taken in; watch it at `Location`.", "headers": {"Location": place}},
        **problems(
            r400="The form is malformed, or the file empty.",
            r403="You may look at the project, but not add to it.",
            r404="There is no such project, or it is not yours to see.",
            r409="A request with this `Idempotency-Key` is still running.",
            r413="The file is larger than what is taken in.",
            r415="The file is of another kind, whatever its name says.",
        ),
    }


def _language(value: str | None) -> str | None:
    if value is not None and (len(value) > MAX_LANGUAGE or not re.fullmatch(LANGUAGE, value)):
        raise _wrong("language", f"language must match {LANGUAGE} and have {MAX_LANGUAGE} characters at the most")
    return value


def _channels(value: str | None) -> Channels | None:
    if value is not None and value not in get_args(Channels):
        raise _wrong("channels", f"channels must be one of {', '.join(get_args(Channels))}")
    return cast("Channels | None", value)


def _metadata(value: str | None) -> dict[str, Any]:
    if value is None or not value.strip():
        return {}
    try:
        return _METADATA.validate_python(orjson.loads(value))
    except ValidationError as error:
        raise _wrong("metadata", error.errors()[0]["msg"].removeprefix("Value error, ")) from error
    except orjson.JSONDecodeError as error:
        raise _wrong("metadata", f"it is not JSON: {error}") from error


def _wrong(name: str, detail: str) -> InvalidError:
    return InvalidError(detail, [FieldError(f"/{name}", detail)])
