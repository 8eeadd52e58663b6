"""A result says which revision it is, whatever number its engine has written into it."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from alta_common.contracts.results import OcrResult, TranscriptResult
from alta_projects.application.result_reader import numbered, with_number


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


@pytest.fixture
def results(make: Any) -> list[bytes]:
    """What each kind of engine stores, and the same written by another hand."""
    document = make.document(make.page(make.line("Wholly revised: 1", 0.1)))
    transcript = make.transcript(make.segment('He said "revision":1,', 0))
    stored = [one.model_dump_json().encode() for one in (document, transcript)]
    return [
        *stored,
        *(orjson.dumps(dict(reversed(orjson.loads(one).items())), option=orjson.OPT_INDENT_2) for one in stored),
    ]


@pytest.mark.parametrize("number", [1, 2, 10, 12345])
@pytest.mark.parametrize("size", [1, 60, 1000])
async def test_the_number_is_put_in_and_nothing_else_changes(results: list[bytes], number: int, size: int) -> None:
    for stored in results:
        served = await joined(numbered(pieces(stored, size), number))

        assert served == with_number(stored, number)
        assert orjson.loads(served) == orjson.loads(stored) | {"revision": number}
        model = OcrResult if b'"document_id"' in stored else TranscriptResult
        assert model.model_validate_json(served).revision == number


async def test_the_first_revision_goes_out_as_it_is(results: list[bytes]) -> None:
    for stored in results[:2]:
        assert with_number(stored, 1) is stored
