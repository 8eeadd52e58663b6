"""Engines have the same names everywhere."""

import pytest

from alta_common.contracts.engines import (
    DOCUMENT_ENGINES,
    SPEECH_ENGINES,
    EngineKind,
    UnknownEngineError,
    canonical_engine,
)


@pytest.mark.parametrize(("kind", "names"), [("document", DOCUMENT_ENGINES), ("voice_sample", SPEECH_ENGINES)])
def test_a_name_stands_for_itself(kind: EngineKind, names: tuple[str, ...]) -> None:
    assert [canonical_engine(kind, name) for name in names] == list(names)


def test_google_is_the_engine_of_google_for_each_kind() -> None:
    assert canonical_engine("document", "google") == "documentai"
    assert canonical_engine("voice_sample", "google") == "google-speech"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("document", "google-speech"), ("voice_sample", "documentai"), ("document", "tea leaves"), ("document", "")],
)
def test_an_unknown_name_is_refused_with_those_that_are_known(kind: EngineKind, name: str) -> None:
    with pytest.raises(UnknownEngineError, match=r"local, .*google") as refused:
        canonical_engine(kind, name)

    assert repr(name) in refused.value.detail
