"""The engines that a request may name, for whoever takes such a name and whoever acts on it."""

from typing import Literal

from alta_common.errors import InvalidError

EngineKind = Literal["document", "voice_sample"]
"""What is read: the aggregate's name in the events."""

DOCUMENT_ENGINES: tuple[str, ...] = ("local", "documentai")
SPEECH_ENGINES: tuple[str, ...] = ("local", "google-speech")

_NAMES: dict[EngineKind, tuple[str, ...]] = {"document": DOCUMENT_ENGINES, "voice_sample": SPEECH_ENGINES}
_ALIASES: dict[EngineKind, dict[str, str]] = {
    "document": {"google": "documentai"},
    "voice_sample": {"google": "google-speech"},
}


class UnknownEngineError(InvalidError):
    """There is no engine of that name, in any deployment."""

    code = "unknown_engine"


def canonical_engine(kind: EngineKind, name: str) -> str:
    """Return the name that `name` stands for. Raises `UnknownEngineError`, whose text lists what may be named.

    That an engine has a name does not say that a deployment has it configured.
    """
    known = _ALIASES[kind].get(name, name)
    if known not in _NAMES[kind]:
        names = ", ".join((*_NAMES[kind], *_ALIASES[kind]))
        raise UnknownEngineError(f"There is no engine called {name!r}: name one of {names}.")
    return known
