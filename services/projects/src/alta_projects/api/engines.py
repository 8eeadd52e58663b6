"""Engines as requests name them."""

from alta_common.contracts.engines import EngineKind, UnknownEngineError, canonical_engine
from alta_common.errors import FieldError

ENGINE_WORDS = (
    "Who reads it: `local` (on the deployment's own machines), `documentai` for documents and `google-speech` for "
    "recordings (`google` means either). None: the project's settings decide, and then the deployment's. One that this "
    "deployment does not have ends as failed with `engine_unavailable`."
)
LANGUAGE_WORDS = "Language of the file (BCP 47). None: the project's settings decide, and then the engine."

CHANNELS_WORDS = (
    "How a recording of several channels is heard: `mixed` (all as one) or `separate` (each by itself, as the two "
    "sides of a telephone call; `speaker` is then `channel 1`, `channel 2` and so on). None: the project's settings "
    "decide, and else `mixed`."
)


def named_engine(kind: EngineKind, name: str | None, pointer: str) -> str | None:
    """Return the engine's canonical name. Raises `UnknownEngineError` that points at the field it came in."""
    try:
        return None if name is None else canonical_engine(kind, name)
    except UnknownEngineError as error:
        raise UnknownEngineError(error.detail, [FieldError(pointer, error.detail)]) from error
