"""`Idempotency-Key` on everything that creates."""

import asyncio
from typing import Any

from alta_common.ids import new_id


def a_key() -> dict[str, str]:
    return {"Idempotency-Key": f"key-{new_id()}"}


async def test_the_same_request_makes_one_project(ada: Any) -> None:
    key = a_key()
    body = {"name": "Registers", "settings": {"a": 1}}

    first = await ada.http.post("/v1/projects", json=body, headers=key)
    again = await ada.http.post("/v1/projects", json=body, headers=key)

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert (again.headers["Location"], again.headers["ETag"]) == (first.headers["Location"], first.headers["ETag"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert len((await ada.http.get("/v1/projects")).json()["items"]) == 1


async def test_a_key_belongs_to_one_request_and_one_caller(ada: Any, bob: Any) -> None:
    key = a_key()
    await ada.http.post("/v1/projects", json={"name": "Registers"}, headers=key)

    other = await ada.http.post("/v1/projects", json={"name": "Letters"}, headers=key)
    bobs = await bob.http.post("/v1/projects", json={"name": "Letters"}, headers=key)

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert bobs.status_code == 201


async def test_the_same_upload_is_answered_as_before(ada: Any) -> None:
    project, key = await ada.project(), a_key()

    first = await ada.upload(project["id"], data={"metadata": '{"a": 1}'}, headers=key)
    again = await ada.upload(project["id"], data={"metadata": '{"a": 1}'}, headers=key)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.content == first.content
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len((await ada.http.get(f"/v1/projects/{project['id']}/documents")).json()["items"]) == 1


async def test_a_copy_with_a_key_is_made_once(ada: Any) -> None:
    project, key = await ada.project(), a_key()
    await ada.document(project["id"])

    answers = [await ada.upload(project["id"], params={"allow_duplicate": "true"}, headers=key) for _ in range(3)]

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await ada.http.get(f"/v1/projects/{project['id']}/documents")).json()["items"]) == 2


async def test_another_upload_with_the_key_is_refused(ada: Any) -> None:
    project, other, key = await ada.project(), await ada.project(), a_key()
    await ada.upload(project["id"], headers=key)

    for refused in (
        await ada.upload(project["id"], b"%PDF-1.4 another", headers=key),
        await ada.upload(project["id"], filename="another.pdf", headers=key),
        await ada.upload(project["id"], data={"metadata": '{"a": 1}'}, headers=key),
        await ada.upload(other["id"], headers=key),
        await ada.http.post("/v1/projects", json={"name": "a"}, headers=key),
    ):
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")


async def test_equal_uploads_at_once_have_one_effect(ada: Any) -> None:
    project, key = await ada.project(), a_key()

    answers = await asyncio.gather(
        *(ada.upload(project["id"], params={"allow_duplicate": "true"}, headers=key) for _ in range(6))
    )

    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"idempotency_key_in_progress"}
    assert len((await ada.http.get(f"/v1/projects/{project['id']}/documents")).json()["items"]) == 1


async def test_equal_projects_at_once_are_one(ada: Any) -> None:
    key = a_key()

    answers = await asyncio.gather(
        *(ada.http.post("/v1/projects", json={"name": "Once"}, headers=key) for _ in range(6))
    )

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len((await ada.http.get("/v1/projects")).json()["items"]) == 1


async def test_the_same_invitation_is_answered_as_before(ada: Any) -> None:
    project, key = await ada.project(), a_key()
    path, body = f"/v1/projects/{project['id']}/members", {"email": f"{new_id()}@example.org", "role": "viewer"}

    first = await ada.http.post(path, json=body, headers=key)
    again = await ada.http.post(path, json=body, headers=key)
    without = await ada.http.post(path, json=body)

    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert without.status_code == 409


async def test_a_failed_request_leaves_the_key_free(ada: Any) -> None:
    project, key = await ada.project(), a_key()
    refused = await ada.upload(project["id"], b"only text", headers=key)

    taken = await ada.upload(project["id"], headers=key)

    assert (refused.status_code, taken.status_code) == (415, 202)


async def test_a_key_has_1_to_255_characters(ada: Any) -> None:
    refused = await ada.http.post("/v1/projects", json={"name": "a"}, headers={"Idempotency-Key": "k" * 256})

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"].lower() == "/header/idempotency-key"
