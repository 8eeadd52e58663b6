"""Several OpenAPI documents as one: only what the gateway lets through, with what the gateway adds to every answer."""

from collections.abc import Iterator, Mapping
from typing import Any

from alta_gateway.routing import Route, RouteTable

Document = dict[str, Any]

_REF = "#/components/"
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def merge(documents: Mapping[str, Document], routes: RouteTable, base: Document) -> Document:
    """Return `base` with the external routes of every service's document and the components that they use.

    Two services may give different things one name: the later one's gets the service's name in front.
    """
    merged: Document = {**base, "paths": dict(base["paths"])}
    components: Document = {section: dict(named) for section, named in base.get("components", {}).items()}
    tags = {tag["name"]: tag for tag in base.get("tags", [])}
    for service, given in documents.items():
        document = _renamed(_without(given, base), components, service)
        for path, item in document.get("paths", {}).items():
            operations = dict(_operations(service, path, item, routes))
            if operations:
                shared = {key: value for key, value in item.items() if key not in _METHODS}
                merged["paths"][path] = {**merged["paths"].get(path, {}), **shared, **operations}
        for section, named in document.get("components", {}).items():
            if section != "securitySchemes":
                components.setdefault(section, {}).update(named)
        tags |= {tag["name"]: tag for tag in document.get("tags", [])}
    merged["paths"] = dict(sorted(merged["paths"].items()))
    merged["components"] = _used(merged["paths"], components)
    merged["tags"] = _tags_of(merged["paths"], tags)
    return merged


def _without(document: Document, base: Document) -> Document:
    """Return the document without components that the gateway defines itself: a problem is one thing everywhere."""
    kept = {
        section: {
            name: component for name, component in named.items() if name not in base["components"].get(section, {})
        }
        for section, named in document.get("components", {}).items()
    }
    return {**document, "components": kept}


def _operations(service: str, path: str, item: Document, routes: RouteTable) -> Iterator[tuple[str, Document]]:
    for method, operation in item.items():
        if method not in _METHODS:
            continue
        found = routes.find(method.upper(), path)
        if found is not None and found.route is not None and found.route.upstream == service:
            yield method, _completed(operation, found.route, service)


def _completed(operation: Document, route: Route, service: str) -> Document:
    responses = dict(operation.get("responses", {}))
    added = {"429": "TooManyRequests", "503": "Unavailable"}
    if not route.is_public:
        added["401"] = "Unauthenticated"
    if "requestBody" in operation:
        added["413"] = "TooLarge"
    for status, name in added.items():
        responses.setdefault(status, {"$ref": f"#/components/responses/{name}"})
    responses.setdefault("default", {"description": "Any other problem.", "content": _PROBLEM})
    return {
        "tags": [service.capitalize()],
        **operation,
        "operationId": f"{_word(service)}_{operation['operationId']}" if "operationId" in operation else _id_of(route),
        "responses": dict(sorted(responses.items())),
        "security": [] if route.is_public else [{"bearer": []}],
    }


def _id_of(route: Route) -> str:
    words = route.template.replace("{", "").replace("}", "").replace("-", "_").strip("/").split("/")
    return "_".join([_word(route.upstream), route.method.lower(), *words])


def _word(service: str) -> str:
    """Return a service's name as generated code can have it."""
    return service.replace("-", "_")


def _renamed(document: Document, taken: Document, service: str) -> Document:
    """Return the document with new names for components whose name another service uses for something else."""
    new: dict[str, str] = {}
    own = document.get("components", {})
    clashing = {
        (section, name)
        for section, named in own.items()
        for name, component in named.items()
        if name in taken.get(section, {}) and taken[section][name] != component
    }
    if not clashing:
        return document
    for section, name in _with_dependents(clashing, own, taken):
        new[f"{_REF}{section}/{name}"] = f"{_REF}{section}/{service.title().replace('-', '')}{name}"
    renamed: Document = _with_refs(document, new)
    for section, named in renamed["components"].items():
        renamed["components"][section] = {
            new.get(f"{_REF}{section}/{name}", name).rpartition("/")[2]: component for name, component in named.items()
        }
    return renamed


def _with_dependents(clashing: set[tuple[str, str]], own: Document, taken: Document) -> set[tuple[str, str]]:
    """Return also those that are spelled alike but refer to something that is not."""
    found = set(clashing)
    while True:
        refs = {f"{_REF}{section}/{name}" for section, name in found}
        more = {
            (section, name)
            for section, named in own.items()
            for name, component in named.items()
            if name in taken.get(section, {}) and (section, name) not in found and not refs.isdisjoint(_refs(component))
        }
        if not more:
            return found
        found |= more


def _with_refs(value: Any, new: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        # `mapping` of a discriminator holds references as plain strings.
        return {key: _with_refs(inner, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_refs(inner, new) for inner in value]
    return new.get(value, value) if isinstance(value, str) else value


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _refs(inner)
    elif isinstance(value, str) and value.startswith(_REF):
        yield value


def _used(paths: Document, components: Document) -> Document:
    """Return the components that something refers to; security schemes are referred to by name alone."""
    kept: Document = {"securitySchemes": components.get("securitySchemes", {})}
    waiting = list(_refs(paths))
    seen: set[str] = set()
    while waiting:
        ref = waiting.pop()
        if ref in seen:
            continue
        seen.add(ref)
        section, _, name = ref.removeprefix(_REF).partition("/")
        component = components.get(section, {}).get(name)
        if component is not None:
            kept.setdefault(section, {})[name] = component
            waiting += _refs(component)
    return {section: dict(sorted(named.items())) for section, named in kept.items()}


def _tags_of(paths: Document, known: Mapping[str, Document]) -> list[Document]:
    used = {tag for item in paths.values() for method in _METHODS for tag in item.get(method, {}).get("tags", [])}
    ordered = [name for name in known if name in used] + sorted(used - set(known))
    return [dict(known.get(name, {"name": name})) for name in ordered]
