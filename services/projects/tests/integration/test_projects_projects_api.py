"""Projects over HTTP."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from alta_common.audit import AuditTrail
from alta_common.db.engine import Sessions
from alta_common.ids import new_id


async def test_a_project_is_made_read_changed_and_deleted(ada: Any) -> None:
    made = await ada.http.post(
        "/v1/projects", json={"name": " Registers ", "description": "Births", "settings": {"review": {"blind": True}}}
    )
    assert made.status_code == 201
    project = made.json()
    assert (project["name"], project["description"], project["role"]) == ("Registers", "Births", "owner")
    assert project["created_by"] == str(ada.user_id)
    assert project["created_at"].endswith("Z")
    assert UUID(project["id"]).version == 7
    path = made.headers["Location"]
    assert path == f"/v1/projects/{project['id']}"

    read = await ada.http.get(path)
    assert read.json() == project
    assert read.headers["ETag"] == made.headers["ETag"]
    assert read.headers["Cache-Control"] == "private, no-cache"

    changes = {"name": "Parish registers", "settings": {"review": {"blind": None, "sample_rate": 0.1}}}
    changed = await ada.http.patch(path, json=changes, headers={"If-Match": read.headers["ETag"]})
    assert changed.status_code == 200
    assert changed.json()["name"] == "Parish registers"
    assert changed.json()["description"] == "Births"
    assert changed.json()["settings"] == {"review": {"sample_rate": 0.1}}

    deleted = await ada.http.delete(path)
    assert deleted.status_code == 204
    assert (await ada.http.get(path)).status_code == 404
    assert (await ada.http.get("/v1/projects")).json() == {"items": [], "next_cursor": None}


async def test_an_unchanged_project_is_not_sent_again(ada: Any) -> None:
    path = f"/v1/projects/{(await ada.project())['id']}"
    etag = (await ada.http.get(path)).headers["ETag"]

    again = await ada.http.get(path, headers={"If-None-Match": etag})

    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)


async def test_a_change_of_an_older_version_is_refused(ada: Any) -> None:
    path = f"/v1/projects/{(await ada.project())['id']}"
    old = (await ada.http.get(path)).headers["ETag"]
    await ada.http.patch(path, json={"name": "Newer"})

    for refused in (
        await ada.http.patch(path, json={"name": "Other"}, headers={"If-Match": old}),
        await ada.http.delete(path, headers={"If-Match": old}),
    ):
        assert refused.status_code == 412
        assert refused.json()["code"] == "precondition_failed"
    assert (await ada.http.get(path)).json()["name"] == "Newer"


async def test_a_list_goes_on_where_the_page_ended_while_projects_are_added(ada: Any, bob: Any) -> None:
    names = [f"Project {number}" for number in range(5)]
    for name in names:
        await ada.project(name)
    await bob.project("Not Ada's")

    first = (await ada.http.get("/v1/projects", params={"limit": 2})).json()
    await ada.project("Came later")
    second = (await ada.http.get("/v1/projects", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    third = (await ada.http.get("/v1/projects", params={"limit": 2, "cursor": second["next_cursor"]})).json()

    seen = [project["name"] for page in (first, second, third) for project in page["items"]]
    assert seen == names[::-1]
    assert third["next_cursor"] is None


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "   "}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"name": "a\x00b"}, "/name"),
        ({"name": None}, "/name"),
        ({"name": 7}, "/name"),
        ({"name": "a", "color": "red"}, "/color"),
        ({"name": "a", "settings": []}, "/settings"),
        ({"name": "a", "settings": {"a": "\x00"}}, "/settings"),
        ({"name": "a", "settings": {"a": "x" * 20_000}}, "/settings"),
        ({"name": "a", "settings": {"a": 2**70}}, "/settings"),
        ({"name": "a", "description": "x" * 10_001}, "/description"),
    ],
)
async def test_a_wrong_project_is_refused_with_a_pointer(ada: Any, body: dict[str, Any], pointer: str) -> None:
    refused = await ada.http.post("/v1/projects", json=body)

    assert refused.status_code == 422
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "body",
    [b'{"name": "a", "settings": {"a": NaN}}', b'{"name": "\\ud800"}', b'{"name": "a", "settings":{"a":"\\udc00"}}'],
)
async def test_json_that_cannot_be_kept_is_refused(ada: Any, body: bytes) -> None:
    refused = await ada.send("/v1/projects", body, "application/json")

    assert refused.status_code in {400, 422}, refused.text


async def test_names_at_the_limits_are_taken(ada: Any) -> None:
    assert (await ada.project("x"))["name"] == "x"
    assert (await ada.project("ü" * 200))["name"] == "ü" * 200


@pytest.mark.parametrize(
    ("params", "pointer"),
    [({"limit": 0}, "/query/limit"), ({"limit": 201}, "/query/limit"), ({"cursor": "nonsense"}, "/query/cursor")],
)
async def test_a_wrong_page_is_refused(ada: Any, params: dict[str, Any], pointer: str) -> None:
    refused = await ada.http.get("/v1/projects", params=params)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer


async def test_somebody_elses_project_does_not_exist(ada: Any, bob: Any) -> None:
    path = f"/v1/projects/{(await ada.project())['id']}"
    nowhere = f"/v1/projects/{new_id()}"

    for method, body in (("GET", None), ("PATCH", {"name": "Mine"}), ("DELETE", None)):
        refused = await bob.http.request(method, path, json=body)
        unknown = await bob.http.request(method, nowhere, json=body)
        assert refused.status_code == unknown.status_code == 404
        assert refused.json()["code"] == unknown.json()["code"] == "not_found"
    assert (await ada.http.get(path)).json()["name"] == "Parish registers"


async def test_nobody_gets_in_without_a_token(api: Any) -> None:
    nobody = api.client()
    somewhere = f"/v1/projects/{new_id()}"
    calls = [
        ("POST", "/v1/projects"),
        ("GET", "/v1/projects"),
        ("GET", somewhere),
        ("PATCH", somewhere),
        ("DELETE", somewhere),
        ("GET", f"{somewhere}/members"),
        ("POST", f"{somewhere}/members"),
        ("PATCH", f"{somewhere}/members/{new_id()}"),
        ("DELETE", f"{somewhere}/members/{new_id()}"),
        *(
            (method, path)
            for noun in ("documents", "voice-samples")
            for method, path in (
                ("POST", f"{somewhere}/{noun}"),
                ("GET", f"{somewhere}/{noun}"),
                ("GET", f"/v1/{noun}/{new_id()}"),
                ("DELETE", f"/v1/{noun}/{new_id()}"),
                ("GET", f"/v1/{noun}/{new_id()}/content"),
                ("GET", f"/v1/{noun}/{new_id()}/result"),
            )
        ),
    ]

    for method, path in calls:
        refused = await nobody.request(method, path)
        assert refused.status_code == 401, (method, path, refused.text)
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        assert refused.json()["code"] == "unauthenticated"


async def test_making_a_project_is_told_and_noted(ada: Any, sessions: Sessions) -> None:
    project = await ada.project("Registers")
    await ada.http.patch(f"/v1/projects/{project['id']}", json={"name": "Parish registers"})

    async with sessions() as session:
        query = text("SELECT event_type FROM projects.outbox_event WHERE aggregate_id = :project_id")
        events = (await session.execute(query, {"project_id": project["id"]})).scalars().all()
        trail = AuditTrail("projects")
        noted = await trail.list(session, stream=UUID(project["id"]))
        verified = await trail.verify(session, UUID(project["id"]))
    assert events == ["PROJECT_CREATED"]
    assert [record.entry.action for record in noted] == ["project.changed", "project.created"]
    assert noted[0].entry.details == {"fields": ["name"]}
    assert noted[0].entry.actor_id == ada.user_id
    assert verified.intact


async def test_an_unknown_path_and_method_are_problems_too(ada: Any) -> None:
    missing = await ada.http.get("/v1/nothing")
    wrong = await ada.http.put("/v1/projects", json={})

    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")


async def test_a_large_number_in_the_settings_stands_in_nobodys_way(ada: Any) -> None:
    settings = {"settings": {"ratio": 1e20}}
    made = (await ada.http.post("/v1/projects", json={"name": "Registers", **settings})).json()

    changed = await ada.http.patch(f"/v1/projects/{made['id']}", json={"settings": {"blind": True}})

    assert (changed.status_code, changed.json()["settings"]) == (200, {"ratio": 1e20, "blind": True})
