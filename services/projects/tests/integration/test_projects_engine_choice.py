"""Which engine is asked, in which language and by when: as uploads, projects and the deployment say."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from alta_common.ids import new_id

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)


def new_pdf() -> bytes:
    return b"%PDF-1.7 " + new_id().bytes


async def requested(owed: Any, item: dict[str, Any]) -> dict[str, Any]:
    (request,) = await owed.events(item["id"])
    return request


async def test_the_deployment_decides_where_nobody_else_does(ada: Any, owed: Any) -> None:
    document = await ada.document((await ada.project())["id"])

    request = await requested(owed, document)

    assert (request["engine"], request["language"]) == (None, None)
    assert (document["engine"], document["attempt"], document["revision"]) == (None, 1, 0)
    patience = datetime.fromisoformat(document["deadline_at"]) - datetime.fromisoformat(document["created_at"])
    assert timedelta(hours=23) < patience < timedelta(hours=25)
    assert datetime.fromisoformat(request["deadline_at"]) == datetime.fromisoformat(document["deadline_at"])


async def test_the_project_goes_before_the_deployment_and_the_upload_before_the_project(ada: Any, owed: Any) -> None:
    settings = {"documents": {"engine": "google", "language": "la", "deadline_minutes": 5}}
    project = await ada.project(settings=settings)
    assert project["settings"]["documents"]["engine"] == "documentai"

    plain = await ada.document(project["id"], new_pdf())
    by_query = await ada.document(project["id"], new_pdf(), params={"engine": "local"})
    by_form = await ada.document(
        project["id"], new_pdf(), params={"engine": "google", "language": "fr"}, data={"engine": "local"}
    )

    assert [(one["engine"], one["language"]) for one in (plain, by_query, by_form)] == [
        ("documentai", "la"),
        ("local", "la"),
        ("local", "fr"),
    ]
    for document in (plain, by_query, by_form):
        request = await requested(owed, document)
        assert (request["engine"], request["language"]) == (document["engine"], document["language"])
        patience = datetime.fromisoformat(document["deadline_at"]) - datetime.fromisoformat(document["created_at"])
        assert timedelta(minutes=4) < patience < timedelta(minutes=6)


async def test_recordings_have_settings_of_their_own(ada: Any, owed: Any) -> None:
    project = await ada.project(settings={"documents": {"engine": "local"}, "voice_samples": {"engine": "google"}})

    sample = (await ada.upload(project["id"], WAV, filename="a.wav", kind="voice-samples")).json()

    assert (await requested(owed, sample))["engine"] == sample["engine"] == "google-speech"


def new_wav() -> bytes:
    return WAV + new_id().bytes


async def new_sample(ada: Any, project_id: str, **options: Any) -> dict[str, Any]:
    answer = await ada.upload(project_id, new_wav(), filename="call.wav", kind="voice-samples", **options)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def test_channels_are_chosen_as_the_language_is(ada: Any, owed: Any) -> None:
    plain = await new_sample(ada, (await ada.project())["id"])
    project = (await ada.project(settings={"voice_samples": {"channels": "separate"}}))["id"]
    by_project = await new_sample(ada, project)
    by_query = await new_sample(ada, project, params={"channels": "mixed"})
    by_form = await new_sample(ada, project, params={"channels": "mixed"}, data={"channels": "separate"})

    samples = (plain, by_project, by_query, by_form)
    assert [sample["channels"] for sample in samples] == ["mixed", "separate", "mixed", "separate"]
    assert [(await requested(owed, sample))["channels"] for sample in samples] == [
        "mixed",
        "separate",
        "mixed",
        "separate",
    ]
    shown = (await ada.http.get(f"/v1/voice-samples/{by_form['id']}")).json()
    assert shown["channels"] == "separate"


async def test_a_voice_sample_is_heard_again_channel_by_channel(ada: Any, owed: Any) -> None:
    project = (await ada.project(settings={"voice_samples": {"channels": "separate"}}))["id"]
    sample = await new_sample(ada, project, params={"channels": "mixed"})
    path = f"/v1/voice-samples/{sample['id']}"
    heard = []
    for said in ({"channels": "separate"}, {"language": "de"}, {"channels": "mixed"}, {}, {"channels": None}):
        await ada.http.post(f"{path}/cancel")
        answer = await ada.http.post(f"{path}/reprocess", json=said)
        assert answer.status_code == 202, answer.text
        heard.append(answer.json()["channels"])

    # What is left out stays; null leaves it to the project.
    assert heard == ["separate", "separate", "mixed", "mixed", "separate"]
    assert [request["channels"] for request in await owed.events(sample["id"]) if "object_key" in request] == [
        "mixed",
        *heard,
    ]


@pytest.mark.parametrize(
    ("kind", "params", "data", "pointer"),
    [
        ("voice-samples", {"channels": "stereo"}, None, "/query/channels"),
        ("voice-samples", None, {"channels": "stereo"}, "/channels"),
        ("documents", None, {"channels": "mixed"}, "/channels"),
    ],
)
async def test_channels_that_there_are_not_are_refused(
    ada: Any, leftovers: Any, kind: str, params: dict[str, str] | None, data: dict[str, str] | None, pointer: str
) -> None:
    project = await ada.project()
    content = new_wav() if kind == "voice-samples" else new_pdf()

    refused = await ada.upload(project["id"], content, kind=kind, params=params, data=data)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer
    assert leftovers.files() == []


async def test_only_voice_samples_are_heard_again_by_channels(ada: Any) -> None:
    project = (await ada.project())["id"]
    document, sample = await ada.document(project, new_pdf()), await new_sample(ada, project)

    for path, said in (
        (f"/v1/documents/{document['id']}/reprocess", {"channels": "mixed"}),
        (f"/v1/voice-samples/{sample['id']}/reprocess", {"channels": "stereo"}),
    ):
        refused = await ada.http.post(path, json=said)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/channels")


@pytest.mark.parametrize(
    ("params", "data", "pointer"),
    [
        ({"engine": "tesseract"}, None, "/query/engine"),
        ({"engine": "google-speech"}, None, "/query/engine"),
        ({"engine": "\x00"}, None, "/query/engine"),
        (None, {"engine": "tesseract"}, "/engine"),
        (None, {"engine": "Local"}, "/engine"),
        ({"language": "de" + "-abcdefgh" * 5}, None, "/query/language"),
        (None, {"language": "de" + "-abcdefgh" * 5}, "/language"),
    ],
)
async def test_an_unknown_engine_is_refused_with_those_there_are(
    ada: Any, leftovers: Any, params: dict[str, str] | None, data: dict[str, str] | None, pointer: str
) -> None:
    project = await ada.project()

    refused = await ada.upload(project["id"], new_pdf(), params=params, data=data)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer
    if "engine" in pointer:
        assert refused.json()["code"] == "unknown_engine"
        assert "documentai" in refused.json()["detail"]
    assert leftovers.files() == []


@pytest.mark.parametrize("call", ["post", "patch"])
async def test_wrong_settings_of_a_project_are_pointed_at(ada: Any, call: str) -> None:
    body = {"name": "Letters", "settings": {"documents": {"engine": "abacus", "deadline_minutes": 0}}}
    project = await ada.project(settings={"documents": {"engine": "local"}})
    path = "/v1/projects" if call == "post" else f"/v1/projects/{project['id']}"

    refused = await ada.http.request(call, path, json=body)

    assert refused.status_code == 422
    pointers = [error["pointer"] for error in refused.json()["errors"]]
    assert pointers == ["/settings/documents/engine", "/settings/documents/deadline_minutes"]
    unchanged = (await ada.http.get(f"/v1/projects/{project['id']}")).json()
    assert unchanged["settings"] == {"documents": {"engine": "local"}}


async def test_settings_are_merged_and_then_checked(ada: Any) -> None:
    project = await ada.project(settings={"documents": {"engine": "local"}, "review": {"blind": True}})
    path = f"/v1/projects/{project['id']}"

    changed = await ada.http.patch(path, json={"settings": {"documents": {"engine": "google", "language": "de"}}})
    cleared = await ada.http.patch(path, json={"settings": {"documents": {"engine": None}}})

    assert changed.json()["settings"]["documents"] == {"engine": "documentai", "language": "de"}
    assert cleared.json()["settings"] == {"documents": {"language": "de"}, "review": {"blind": True}}


async def test_the_api_document_says_what_can_be_set(api: Any) -> None:
    document = (await api.client().get("/openapi.json")).json()

    settings = document["components"]["schemas"]["ProjectIn"]["properties"]["settings"]
    assert settings["properties"].keys() == {"documents", "voice_samples"}
    assert settings["properties"]["documents"]["properties"].keys() == {"engine", "language", "deadline_minutes"}
    assert settings["properties"]["voice_samples"]["properties"].keys() == {
        "engine",
        "language",
        "deadline_minutes",
        "channels",
    }
    upload = document["paths"]["/v1/projects/{project_id}/voice-samples"]["post"]
    form = upload["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    (by_query,) = [one for one in upload["parameters"] if one["name"] == "channels"]
    again = document["components"]["schemas"]["VoiceSampleReprocessIn"]["properties"]["channels"]
    assert form["channels"]["enum"] == ["mixed", "separate"]
    assert form["channels"]["description"] == by_query["description"] == again["description"]
    assert "channels" not in document["components"]["schemas"]["DocumentOut"]["properties"]
    codes = document["components"]["schemas"]["ItemErrorOut"]["properties"]["code"]["description"]
    assert "`password_protected`" in codes
    again = document["paths"]["/v1/documents/{document_id}/reprocess"]["post"]["responses"]
    assert {"202", "403", "404", "409", "412", "422"} <= again.keys()
