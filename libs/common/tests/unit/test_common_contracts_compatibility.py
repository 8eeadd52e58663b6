"""A published version of a contract only gains optional fields. What else is a change is told from the snapshots."""

import json
from pathlib import Path
from typing import Any

import pytest

from alta_common.contracts.event import Event
from alta_common.contracts.registry import EVENTS

SNAPSHOTS = Path(__file__).parent / "snapshots"
Schema = dict[str, Any]

# What of a schema may change freely: words for people, and the default of what may be left out.
_WORDS = frozenset({"description", "title", "default"})


def breaking_changes(before: Schema, after: Schema) -> list[str]:
    """Return what a reader of `before` could not read any more, or a writer of `before` would be refused for."""
    found = _of_object("", before, after)
    definitions = after.get("$defs", {})
    for name, definition in before.get("$defs", {}).items():
        found += _of_object(f"{name}.", definition, definitions.get(name, {}))
    return found


def _of_object(place: str, before: Schema, after: Schema) -> list[str]:
    fields, now = before.get("properties", {}), after.get("properties", {})
    removed = [f"{place}{name} was removed" for name in fields if name not in now]
    required = set(after.get("required", ())) - set(before.get("required", ()))
    loosened = set(before.get("required", ())) - set(after.get("required", ()))
    return [
        *removed,
        *(f"{place}{name} is required now" for name in sorted(required)),
        *(f"{place}{name} may be missing now" for name in sorted(loosened & set(now))),
        *(
            f"{place}{name} is of another kind now"
            for name, field in fields.items()
            if name in now and _kind(field) != _kind(now[name])
        ),
    ]


def _kind(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _kind(inner) for name, inner in value.items() if name not in _WORDS}
    return [_kind(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.ROUTING_KEY)
def test_a_published_contract_only_gains_optional_fields(event: type[Event]) -> None:
    before = json.loads((SNAPSHOTS / f"{event.ROUTING_KEY}.json").read_text())

    assert (before["type"], before["exchange"], before["aggregate"]) == (event.TYPE, event.EXCHANGE, event.AGGREGATE)
    assert breaking_changes(before["schema"], event.model_json_schema()) == [], "that would be a new version: .v2"


def a_schema(**fields: Schema) -> Schema:
    required = [name for name, field in fields.items() if "default" not in field]
    return {"type": "object", "properties": fields, "required": required}


TEXT = {"type": "string"}
BEFORE = a_schema(name=TEXT, language={**TEXT, "default": None})


@pytest.mark.parametrize(
    ("after", "change"),
    [
        (a_schema(language={**TEXT, "default": None}), "name was removed"),
        (a_schema(name=TEXT), "language was removed"),
        (a_schema(name=TEXT, language=TEXT), "language is required now"),
        (a_schema(name=TEXT, language={**TEXT, "default": None}, pages=TEXT), "pages is required now"),
        (a_schema(name={**TEXT, "default": ""}, language={**TEXT, "default": None}), "name may be missing now"),
        (a_schema(name={"type": "integer"}, language={**TEXT, "default": None}), "name is of another kind now"),
        (a_schema(name={**TEXT, "enum": ["a"]}, language={**TEXT, "default": None}), "name is of another kind now"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_breaks_a_reader_or_a_writer_is_seen(after: Schema, change: str) -> None:
    assert breaking_changes(BEFORE, after) == [change]


def test_a_new_optional_field_and_better_words_break_nobody() -> None:
    words = {"description": "What it is called.", "type": "string"}
    after = a_schema(name=words, language={**TEXT, "default": "en"}, pages={"type": "integer", "default": 1})

    assert breaking_changes(BEFORE, after) == []


def test_a_part_of_a_contract_is_looked_at_too() -> None:
    before = {**BEFORE, "$defs": {"Part": a_schema(size=TEXT)}}

    assert breaking_changes(before, {**BEFORE, "$defs": {"Part": a_schema()}}) == ["Part.size was removed"]
