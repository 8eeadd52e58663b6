"""Who reads, in which language and by when: the request before the project before the deployment."""

from datetime import timedelta
from typing import Any

import pytest

from alta_common.clock import utc_now
from alta_common.errors import InvalidError
from alta_common.ids import new_id
from alta_projects.models.project import Project
from alta_projects.models.reading import Wishes, checked_settings, settings_of

DAY = timedelta(days=1)


def a_project(**settings: Any) -> Project:
    return Project.new("Letters", None, settings, new_id())


def test_the_request_goes_before_the_project() -> None:
    project = a_project(documents={"engine": "documentai", "language": "de"})

    assert project.reading("document", Wishes(), DAY).engine == "documentai"
    asked = project.reading("document", Wishes("local", "fr"), DAY)
    assert (asked.engine, asked.language) == ("local", "fr")
    half = project.reading("document", Wishes(language="fr"), DAY)
    assert (half.engine, half.language) == ("documentai", "fr")


def test_each_kind_has_settings_of_its_own() -> None:
    project = a_project(voice_samples={"engine": "google-speech"})

    assert project.reading("voice_sample", Wishes(), DAY).engine == "google-speech"
    assert project.reading("document", Wishes(), DAY).engine is None


def test_channels_are_mixed_unless_the_request_or_the_project_says_otherwise() -> None:
    by_project = a_project(voice_samples={"channels": "separate"})

    assert a_project().reading("voice_sample", Wishes(), DAY).channels == "mixed"
    assert by_project.reading("voice_sample", Wishes(), DAY).channels == "separate"
    assert by_project.reading("voice_sample", Wishes(channels="mixed"), DAY).channels == "mixed"
    assert by_project.reading("document", Wishes(), DAY).channels is None


def test_the_project_may_give_less_time_or_more_than_the_deployment() -> None:
    for minutes, expected in ((None, DAY), (30, timedelta(minutes=30)), (10080, timedelta(days=7))):
        project = a_project(documents={} if minutes is None else {"deadline_minutes": minutes})

        patience = project.reading("document", Wishes(), DAY).deadline_at - utc_now()

        assert expected - timedelta(minutes=1) < patience <= expected


def test_google_is_known_by_its_own_name() -> None:
    settings = checked_settings({"documents": {"engine": "google"}, "voice_samples": {"engine": "google"}, "x": [1]})

    assert settings == {"documents": {"engine": "documentai"}, "voice_samples": {"engine": "google-speech"}, "x": [1]}


def test_only_what_was_said_is_kept() -> None:
    said = {"documents": {"language": None}, "voice_samples": None, "review": {"documents": {"engine": "?"}}}

    assert checked_settings(said) == said


@pytest.mark.parametrize(
    ("section", "value", "pointer"),
    [
        ("documents", {"engine": "tesseract"}, "/settings/documents/engine"),
        ("documents", {"engine": "google-speech"}, "/settings/documents/engine"),
        ("voice_samples", {"engine": "documentai"}, "/settings/voice_samples/engine"),
        ("voice_samples", {"engine": 7}, "/settings/voice_samples/engine"),
        ("documents", {"language": "the one of my aunt"}, "/settings/documents/language"),
        ("documents", {"language": "de" + "-abcdefgh" * 5}, "/settings/documents/language"),
        ("documents", {"deadline_minutes": 0}, "/settings/documents/deadline_minutes"),
        ("documents", {"deadline_minutes": 10081}, "/settings/documents/deadline_minutes"),
        ("documents", {"deadline_minutes": "10"}, "/settings/documents/deadline_minutes"),
        ("documents", {"deadline_minutes": 1.5}, "/settings/documents/deadline_minutes"),
        ("documents", {"deadline_minutes": True}, "/settings/documents/deadline_minutes"),
        ("documents", {"motor": "local"}, "/settings/documents/motor"),
        ("documents", {"channels": "mixed"}, "/settings/documents/channels"),
        ("voice_samples", {"channels": "stereo"}, "/settings/voice_samples/channels"),
        ("documents", "local", "/settings/documents"),
        ("documents", [], "/settings/documents"),
    ],
)
def test_what_is_wrong_is_pointed_at(section: str, value: Any, pointer: str) -> None:
    with pytest.raises(InvalidError) as refused:
        a_project(**{section: value})

    assert [error.pointer for error in refused.value.errors] == [pointer]


def test_a_change_is_checked_as_what_it_leads_to() -> None:
    project = a_project(documents={"engine": "local"}, review={"blind": True})

    project.change({"settings": {"documents": {"language": "de", "engine": None}}})

    assert project.settings == {"documents": {"language": "de"}, "review": {"blind": True}}
    with pytest.raises(InvalidError):
        project.change({"settings": {"documents": {"engine": "abacus"}}})


def test_settings_that_an_older_version_let_in_count_for_nothing() -> None:
    for stored in ({"documents": "local"}, {"documents": {"engine": "abacus", "language": "de"}}, {}):
        assert settings_of("document", stored).reading(Wishes(), utc_now(), DAY).engine is None
