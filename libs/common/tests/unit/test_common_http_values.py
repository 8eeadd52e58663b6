from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alta_common.errors import StaleError
from alta_common.http.etags import etag_of, not_modified, require_match
from alta_common.http.idempotency import fingerprint_of
from alta_common.http.pagination import InvalidCursorError, decode_cursor, encode_cursor
from alta_common.http.preconditions import PreconditionRequiredError
from alta_common.ids import new_id


def test_a_cursor_comes_back_as_it_went() -> None:
    item = new_id()
    moment = datetime(2026, 1, 2, tzinfo=UTC)

    position = decode_cursor(encode_cursor({"id": item, "at": moment, "n": 3}))

    assert position == {"id": str(item), "at": "2026-01-02T00:00:00+00:00", "n": 3}


@given(st.text())
def test_what_is_no_cursor_is_refused_and_nothing_else(cursor: str) -> None:
    with suppress(InvalidCursorError):
        assert isinstance(decode_cursor(cursor), dict)


def test_a_refused_cursor_is_pointed_at() -> None:
    with pytest.raises(InvalidCursorError) as refused:
        decode_cursor("WzFd")

    assert refused.value.errors[0].pointer == "/query/cursor"


def test_a_change_needs_the_present_version() -> None:
    require_match(etag_of(7), etag_of(7))
    require_match("*", etag_of(7))
    require_match('"3", "7"', etag_of(7))

    for stale in ('"6"', 'W/"7"', "7", '"77"'):
        with pytest.raises(StaleError):
            require_match(stale, etag_of(7))
    for missing in (None, "", " "):
        with pytest.raises(PreconditionRequiredError):
            require_match(missing, etag_of(7))


def test_a_client_that_has_it_already_need_not_get_it() -> None:
    assert not_modified('"7"', etag_of(7))
    assert not_modified('W/"7"', etag_of(7))
    assert not_modified('"a", "7"', etag_of(7))
    assert not_modified("*", etag_of(7))
    assert not not_modified('"8"', etag_of(7))
    assert not not_modified(None, etag_of(7))


def test_a_fingerprint_keeps_parts_apart() -> None:
    assert fingerprint_of("POST", "/a", b"bc") == fingerprint_of("POST", "/a", b"bc")
    assert fingerprint_of("POST", "/a", b"bc") != fingerprint_of("POST", "/ab", b"c")
    assert fingerprint_of({"a": 1, "b": 2}) == fingerprint_of({"b": 2, "a": 1})
