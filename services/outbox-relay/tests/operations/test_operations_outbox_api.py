"""Looking into the outboxes, and putting events back in line, over HTTP."""

import httpx
import pytest

from alta_common.ids import new_id
from alta_common.testing import eventually


def ids_of(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [event["event_id"] for event in answer.json()["items"]]


async def test_events_of_all_outboxes_are_listed_newest_first_a_page_at_a_time(api, written):
    first = await written.write("a", "b", "c")
    second = await written.write("d", schema="identity")
    third = await written.write("e", "f")
    seen, cursor = [], None

    while True:
        answer = await api.get("/v1/admin/outbox", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        seen += ids_of(answer)
        if cursor is None:
            # What comes in meanwhile is newer than the first page, and must not shift the next one.
            await written.write("late", "later")
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            break

    assert seen == [*reversed(third), *second, *reversed(first)]
    assert answer.headers["cache-control"] == "no-store"


async def test_pages_of_one_status_hold_each_event_once(api, written):
    parked = []
    for number in range(4):
        schema = "identity" if number % 2 else "projects"
        await written.write("pending", schema=schema)
        parked += await written.write(f"parked {number}", schema=schema)
        await written.park(parked[-1], schema=schema)
    seen, cursor = [], {}

    while cursor is not None:
        query = {"status": ["PARKED", "FAILED"], "limit": 1, **cursor}
        answer = await api.get("/v1/admin/outbox", params=query)
        seen += ids_of(answer)
        assert len(answer.json()["items"]) <= 1
        cursor = {"cursor": answer.json()["next_cursor"]} if answer.json()["next_cursor"] else None

    assert seen == parked[::-1]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (["PARKED"], {"parked"}),
        (["FAILED"], {"failed"}),
        (["PENDING"], {"pending"}),
        (["COMPLETED"], {"completed"}),
        (["PROCESSING"], set()),
        (["PARKED", "FAILED"], {"parked", "failed"}),
        (["PARKED", "COMPLETED"], {"parked", "completed"}),
    ],
)
async def test_events_are_found_by_status(api, written, status, expected):
    names = ["pending", "failed", "parked", "completed"]
    known = dict(zip(await written.write(*names), names, strict=True))
    ids = {name: event_id for event_id, name in known.items()}
    await written.fail(ids["failed"])
    await written.park(ids["parked"])
    await written.complete(ids["completed"])

    answer = await api.get("/v1/admin/outbox", params={"status": status})
    also = {"event_type": "PROJECT_CREATED", "created_after": "2020-01-01T00:00:00Z", "schema": "projects"}
    typed = await api.get("/v1/admin/outbox", params={"status": status, **also})
    other = await api.get("/v1/admin/outbox", params={"status": status, "event_type": "USER_REGISTERED"})

    assert {known[event_id] for event_id in ids_of(answer)} == expected
    assert ids_of(typed) == ids_of(answer)
    assert ids_of(other) == []


async def test_events_are_found_by_schema_type_aggregate_and_time(api, written):
    project_id = new_id()
    (mine,) = await written.write("mine", project_id=project_id)
    await written.write("other")
    await written.write("elsewhere", schema="identity")

    async def found(**query):
        return ids_of(await api.get("/v1/admin/outbox", params=query))

    assert await found(aggregate_id=str(project_id)) == [mine]
    assert await found(event_type="USER_REGISTERED") == []
    assert len(await found(event_type="PROJECT_CREATED", schema="projects")) == 2
    assert await found(created_after="2999-01-01T00:00:00Z") == []
    assert await found(created_before="2999-01-01T00:00:00Z", aggregate_id=str(project_id)) == [mine]


async def test_an_event_is_shown_with_what_it_says(api, written):
    (event_id,) = await written.write("Letters")
    await written.fail(event_id)

    answer = await api.get(f"/v1/admin/outbox/{event_id}")

    event = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert event["schema"] == "projects"
    assert event["status"] == "FAILED"
    assert event["last_error"] == "no queue takes it"
    assert event["next_attempt_at"].endswith("Z")
    assert event["correlation_id"] == "request-1"
    assert event["payload"]["data"]["name"] == "Letters"
    assert event["headers"]["cloudEvents:type"] == "PROJECT_CREATED"
    assert event["headers"]["cloudEvents:time"] == event["payload"]["time"]
    assert event["payload_base64"] is None


@pytest.mark.parametrize("headers", ["{}", "null", "[1]", '"text"'])
async def test_an_event_with_headers_that_are_none_is_shown(api, written, headers: str):
    project_id = new_id()
    event_id = await written.write_with_key("projects.project.created.v1", project_id, headers)

    answer = await api.get(f"/v1/admin/outbox/{event_id}")

    assert answer.status_code == 200, answer.text
    assert answer.json()["headers"]["cloudEvents:subject"] == f"project/{project_id}"


async def test_a_parked_event_is_put_back_in_line_and_noted(api, written):
    ids = await written.write("a", "b")
    await written.park(*ids)
    body = {"schema": "projects", "event_ids": [ids[0]]}

    trial = await api.post("/v1/admin/outbox/replay", json={**body, "dry_run": True})
    assert (await written.states())[ids[0]] == "PARKED"
    answer = await api.post("/v1/admin/outbox/replay", json=body, headers={"X-Request-ID": "put-back-1"})
    again = await api.post("/v1/admin/outbox/replay", json=body)

    assert trial.json()["selected"] == answer.json()["replayed"] == 1
    assert trial.json()["first"][0]["event_id"] == ids[0]
    assert again.json()["replayed"] == 0
    assert again.json()["already_waiting"] == 1
    assert await written.states() == {ids[0]: "PENDING", ids[1]: "PARKED"}
    noted = await written.audit()
    assert [entry["action"] for entry in noted] == ["outbox.replayed"] * 2
    assert noted[0]["request_id"] == "put-back-1"
    assert noted[0]["details"] == {"schema": "projects", "selected": 1, "replayed": 1, "ids": [ids[0]]}
    assert str(noted[0]["subject_id"]) == ids[0]
    assert noted[0]["actor_id"] is not None
    assert await written.audit_is_intact()


async def test_a_filter_is_replayed_call_by_call(api, written):
    ids = await written.write(*"abcde")
    await written.complete(*ids)
    body = {"schema": "projects", "filter": {"status": "COMPLETED", "event_type": "PROJECT_CREATED"}, "limit": 2}

    answers = []
    while not answers or answers[-1]["next_cursor"]:
        more = {"cursor": answers[-1]["next_cursor"]} if answers else {}
        answer = await api.post("/v1/admin/outbox/replay", json={**body, **more})
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())

    assert [answer["matched"] for answer in answers] == [5, 3, 1]
    assert [answer["replayed"] for answer in answers] == [2, 2, 1]
    assert set((await written.states()).values()) == {"PENDING"}


async def test_a_failed_event_is_tried_now(api, written):
    (event_id,) = await written.write("a")
    await written.fail(event_id)

    answer = await api.post("/v1/admin/outbox/replay", json={"schema": "projects", "filter": {"status": "FAILED"}})

    assert answer.json()["replayed"] == 1
    due = await written.connection.fetchval("SELECT due_at <= now() FROM projects.outbox_pending")
    assert due


async def test_relays_are_told_from_which_event_on_to_read_again(api, written):
    heard: list[str] = []
    await written.connection.add_listener("alta_outbox", lambda *notification: heard.append(notification[-1]))
    done, failed, stuck = await written.write("done", "failed", "stuck")
    numbers = dict(await written.connection.fetch("SELECT event_id::text, id FROM projects.outbox_event"))
    await written.complete(done)
    await written.fail(failed, stuck)

    await api.post("/v1/admin/outbox/replay", json={"schema": "projects", "event_ids": [failed, done]})
    await api.post(f"/v1/admin/outbox/{stuck}/park", json={"reason": "the queue is gone for good"})

    lowest = [numbers[failed], numbers[done], numbers[stuck]]
    await eventually(lambda: heard == [f"projects/replay/{number}" for number in lowest])


async def test_an_event_is_parked_with_a_reason(api, written):
    ids = await written.write("stuck", "next", project_id=new_id())
    await written.fail(ids[0])

    answer = await api.post(f"/v1/admin/outbox/{ids[0]}/park", json={"reason": "the queue is gone for good"})

    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "PARKED"
    assert "the queue is gone for good (before: no queue takes it)" in answer.json()["last_error"]
    (noted,) = await written.audit()
    assert noted["action"] == "outbox.parked"
    assert noted["details"]["reason"] == "the queue is gone for good"
    assert await written.states() == {ids[0]: "PARKED", ids[1]: "PENDING"}


@pytest.mark.parametrize("state", ["complete", "park"])
async def test_what_is_not_waiting_cannot_be_parked(api, written, state):
    (event_id,) = await written.write("a")
    await getattr(written, state)(event_id)

    answer = await api.post(f"/v1/admin/outbox/{event_id}/park", json={"reason": "because"})

    assert answer.status_code == 409
    assert answer.json()["code"] == "event_not_waiting"
    assert await written.audit() == []


async def test_a_name_that_is_unknown_spoils_the_whole_replay(api, written):
    (event_id,) = await written.write("a")
    await written.park(event_id)
    unknown = str(new_id())

    answer = await api.post("/v1/admin/outbox/replay", json={"schema": "projects", "event_ids": [event_id, unknown]})

    assert answer.status_code == 404
    assert answer.json()["code"] == "event_not_found"
    assert unknown in answer.json()["detail"]
    assert (await written.states())[event_id] == "PARKED"


@pytest.mark.parametrize(
    "body",
    [
        {"schema": "projects"},
        {"schema": "projects", "event_ids": []},
        {"schema": "projects", "event_ids": [str(new_id())], "filter": {"status": "PARKED"}},
        {"schema": "projects", "filter": {}},
        {"schema": "projects", "filter": {"status": "PROCESSING"}},
        {"schema": "projects", "filter": {"status": "PARKED"}, "payload": {"name": "edited"}},
        {"schema": "projects", "filter": {"status": "PARKED"}, "limit": 501},
        {"schema": "projects", "filter": {"status": "PARKED"}, "cursor": "no cursor"},
        {"schema": "pg_catalog", "filter": {"status": "PARKED"}},
        {"schema": "projects", "event_ids": [str(new_id())] * 501},
    ],
)
async def test_what_cannot_be_right_is_refused(api, outboxes, body):
    answer = await api.post("/v1/admin/outbox/replay", json=body)

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 201},
        {"status": "SLEEPING"},
        {"schema": "public"},
        {"created_after": "yesterday"},
        {"cursor": "e30"},
        {"cursor": "eyJwZ19jYXRhbG9nIjoxfQ"},
        {"cursor": "eyJwcm9qZWN0cyI6LTF9"},
        {"event_type": "a\x00b"},
    ],
)
async def test_a_list_refuses_what_it_does_not_know(api, outboxes, query):
    answer = await api.get("/v1/admin/outbox", params=query)

    assert answer.status_code == 422, answer.text


async def test_an_event_that_is_not_there_is_404(api, outboxes):
    assert (await api.get(f"/v1/admin/outbox/{new_id()}")).json()["code"] == "event_not_found"
    parked = await api.post(f"/v1/admin/outbox/{new_id()}/park", json={"reason": "because"})
    assert parked.status_code == 404
