"""Names that go into SQL as they are."""

import re

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def checked_identifier(name: str) -> str:
    """Return `name` when it can stand in SQL unquoted. Raises `ValueError` otherwise."""
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name!r} is no plain SQL identifier")
    return name


def in_schema(statement: str, schema: str) -> str:
    """Return `statement` with `{schema}` filled in. Raises `ValueError` when `schema` is no plain identifier."""
    return statement.replace("{schema}", checked_identifier(schema))
