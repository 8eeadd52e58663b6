"""The engines of a deployment, by the names that requests and settings use."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from alta_common.contracts.engines import EngineKind, UnknownEngineError, canonical_engine
from alta_common.engines.port import EngineError
from alta_common.errors import UnavailableError

EngineT = TypeVar("EngineT")


class EngineTable(Generic[EngineT]):
    """Finds the engine that is asked for, and the one that stands in for it where the deployment names one."""

    def __init__(self, kind: EngineKind, engines: Mapping[str, EngineT], default: str, fallback: str = "") -> None:
        self._kind = kind
        self._engines = engines
        self._default = default
        self._fallback = self.name_of(fallback) if fallback else None

    def name_of(self, asked: str | None) -> str:
        """Return the name of the engine that a request asks for, or that the deployment uses where it asks for none."""
        name = asked or self._default
        try:
            return canonical_engine(self._kind, name)
        except UnknownEngineError:
            # Whoever looks it up is told that it is not here.
            return name

    def get(self, name: str) -> EngineT:
        """Return an engine by its name. Raises `EngineError` where it is not configured."""
        engine = self._engines.get(name)
        if engine is None:
            raise EngineError("engine_unavailable", f"The engine {name!r} is not configured here.")
        return engine

    def concerned(self, asked: str | None) -> list[str]:
        """Return the names of the engines that may have worked on a request."""
        return [name for name in self._engines if name in {self.name_of(asked), self._fallback}]

    def fallback_after(self, name: str, error: Exception) -> str | None:
        """Return who stands in for the engine `name` after `error`, or None where nobody is to.

        Nobody stands in for an engine that found fault with the file.
        """
        away = isinstance(error, UnavailableError) or (
            isinstance(error, EngineError) and (error.retryable or error.code == "engine_unavailable")
        )
        return self._fallback if away and self._fallback != name else None
