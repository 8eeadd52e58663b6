"""Routes, and finding the one that a request means: a tree of path segments, built once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a request costs and how soon it is shed when a service is full."""

    AUTH = "auth"
    READ = "read"
    WRITE = "write"
    SEARCH = "search"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that a service has: to begin, between two pieces, in all (None: as long as it moves)."""

    first_byte: float
    idle: float
    total: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path template, and everything that the pipeline must know of it."""

    method: str
    template: str
    upstream: str
    kind: Kind
    body_limit: int
    timeouts: Timeouts
    is_public: bool = False
    # Limits beside the caller's own, by name, in the order in which they are announced.
    policies: tuple[str, ...] = ()
    # The field of the JSON or form body that names the account which the limits count.
    account_field: str | None = None
    # Guessing must not become possible because Redis is away.
    fails_closed: bool = False
    is_download: bool = False
    # The answer may be a stream that never ends.
    is_stream: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path: the route of the method, or the methods that there are."""

    route: Route | None
    methods: tuple[str, ...]


@dataclass(slots=True)
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    routes: dict[str, Route] = field(default_factory=dict)
    methods: tuple[str, ...] = ()


class RouteTable:
    """Finds routes. Fixed segments win over parameters; a parameter is one segment that is not empty."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def find(self, method: str, path: str) -> Found | None:
        """Return what is at `path`, or None when nothing is. A GET route answers HEAD as well."""
        node = self._walk(self._root, path.split("/"), 1)
        if node is None:
            return None
        route = node.routes.get(method)
        if route is None and method == "HEAD":
            route = node.routes.get("GET")
        return Found(route, node.methods)

    def all(self) -> list[Route]:
        """Return every route."""
        found: list[Route] = []
        nodes = [self._root]
        while nodes:
            node = nodes.pop()
            found += node.routes.values()
            nodes += [*node.children.values(), *([node.parameter] if node.parameter else [])]
        return found

    def _walk(self, node: _Node, segments: list[str], at: int) -> _Node | None:
        if at == len(segments):
            return node if node.routes else None
        segment = segments[at]
        child = node.children.get(segment)
        if child is not None:
            found = self._walk(child, segments, at + 1)
            if found is not None:
                return found
        if node.parameter is not None and segment:
            return self._walk(node.parameter, segments, at + 1)
        return None

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.template.split("/")[1:]:
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.children.setdefault(segment, _Node())
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.template} is in the table twice")
        node.routes[route.method] = route
        methods = set(node.routes) | {"OPTIONS"} | ({"HEAD"} if "GET" in node.routes else set())
        node.methods = tuple(sorted(methods))
