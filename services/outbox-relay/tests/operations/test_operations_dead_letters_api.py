"""Looking at dead letters, sending them back, throwing them away, over HTTP."""

import asyncio

import orjson
import pytest

DEAD = "/v1/admin/dead-letters/ocr_queue.dead"


def ids_of(answer):
    assert answer.status_code == 200, answer.text
    return [letter["message_id"] for letter in answer.json()["items"]]


async def test_queues_are_listed_with_their_numbers(api, broker):
    await broker.bury_event()

    answer = await api.get("/v1/admin/queues")

    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    queues = {queue["name"]: queue for queue in answer.json()["items"]}
    assert queues["ocr_queue"] | {"unacknowledged": None} == {
        "name": "ocr_queue",
        "kind": "work",
        "is_declared": True,
        "ready": 0,
        "unacknowledged": None,
        "consumers": 0,
        "head_age_seconds": None,
    }
    assert queues["ocr_queue.dead"]["kind"] == "dead"
    assert queues["default.dead"]["head_age_seconds"] == 0.0
    assert queues["ocr_queue.dead"]["ready"] == 1
    assert queues["ocr_queue.dead"]["head_age_seconds"] > 3600
    assert queues["retry.5m"]["kind"] == "retry"
    assert answer.json()["is_complete"] is False


async def test_dead_letter_queues_are_listed_with_how_much_lies_there(api, broker):
    await broker.bury_event("email_queue")

    answer = await api.get("/v1/admin/dead-letters")

    found = {queue["queue"]: queue for queue in answer.json()["items"]}
    assert found["email_queue.dead"]["messages"] == 1
    assert found["email_queue.dead"]["source"] == "email_queue"
    assert found["email_queue.dead"]["oldest_age_seconds"] > 3600
    assert found["ocr_queue.dead"]["messages"] == 0


async def test_messages_are_listed_a_page_at_a_time_and_stay_where_they_are(api, broker):
    ids = [await broker.bury_event(name=name) for name in "abcde"]
    seen, cursor = [], None

    while True:
        answer = await api.get(DEAD, params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        seen += ids_of(answer)
        assert answer.json()["ready"] == await broker.count("ocr_queue.dead")
        if cursor is None:
            ids.append(await broker.bury_event(name="late"))
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            break

    assert seen == ids
    assert await broker.count("ocr_queue.dead") == 6
    assert answer.headers["cache-control"] == "no-store"


async def test_duplicates_do_not_hold_up_a_list(api, broker):
    for _ in range(3):
        await broker.bury("ocr_queue", message_id="twin")

    first = await api.get(DEAD, params={"limit": 1})
    second = await api.get(DEAD, params={"limit": 1, "cursor": first.json()["next_cursor"]})
    third = await api.get(DEAD, params={"limit": 1, "cursor": second.json()["next_cursor"]})

    assert ids_of(first) == ids_of(second) == ids_of(third) == ["twin"]
    assert third.json()["next_cursor"] is None


async def test_a_page_begins_behind_a_message_that_is_still_there(api, broker):
    ids = [await broker.bury_event() for _ in range(3)]
    cursor = (await api.get(DEAD, params={"limit": 1})).json()["next_cursor"]
    await api.post(f"{DEAD}/purge", json={"message_ids": [ids[0]]})

    answer = await api.get(DEAD, params={"limit": 1, "cursor": cursor})

    assert answer.status_code == 409
    assert answer.json()["code"] == "dead_letters_moved"


async def test_a_replayed_message_is_back_in_its_queue_as_it_was(api, broker, written, admin):
    ids = [await broker.bury_event(name=name) for name in ("first", "second")]
    body = {"message_ids": [ids[0]]}

    trial = await api.post(f"{DEAD}/replay", json={**body, "dry_run": True})
    assert await broker.count("ocr_queue") == 0
    answer = await api.post(f"{DEAD}/replay", json=body, headers={"X-Request-ID": "send-back-1"})

    assert trial.json()["done"] == 0
    assert trial.json()["first"][0]["message_id"] == ids[0]
    assert answer.status_code == 200, answer.text
    assert answer.json()["done"] == 1
    assert answer.json()["remaining"] == 1
    assert answer.json()["failure"] is None
    (message,) = await broker.take("ocr_queue")
    assert message.message_id == ids[0]
    assert orjson.loads(message.body)["data"]["name"] == "first"
    assert message.headers["cloudEvents:type"] == "PROJECT_CREATED"
    assert message.headers["traceparent"].startswith("00-0af7651916cd43dd")
    assert message.headers["x-alta-replayed"].startswith(str(admin.user_id))
    assert message.headers["x-alta-routing-key"] == "projects.project.created.v1"
    assert not {"x-alta-attempt", "x-alta-reason", "x-alta-error", "x-alta-failed-at"} & message.headers.keys()
    assert message.delivery_mode == 2
    noted = await written.audit()
    assert [(entry["action"], entry["details"]["phase"]) for entry in noted] == [
        ("dead_letters.replayed", "intended"),
        ("dead_letters.replayed", "done"),
    ]
    done = {"queue": "ocr_queue.dead", "phase": "done", "matched": 1, "done": 1, "ids": [ids[0]]}
    assert noted[1]["details"] == done
    assert {entry["request_id"] for entry in noted} == {"send-back-1"}
    assert await written.audit_is_intact()


async def test_a_filter_is_purged_in_bounded_calls(api, broker, written):
    for _ in range(3):
        await broker.bury_event(reason="unknown_event")
    kept = await broker.bury_event(reason="handler_timeout")
    body = {"filter": {"reason": "unknown_event", "event_type": "PROJECT_CREATED"}, "limit": 2}

    first = (await api.post(f"{DEAD}/purge", json=body)).json()
    second = (await api.post(f"{DEAD}/purge", json=body)).json()

    assert (first["done"], first["remaining"], first["is_whole_queue"]) == (2, 2, False)
    assert (second["done"], second["remaining"], second["is_whole_queue"]) == (1, 1, True)
    assert [message.message_id for message in await broker.take("ocr_queue.dead")] == [kept]
    assert (await written.audit())[0]["details"]["reason"] == "unknown_event"


async def test_two_operators_at_once_lose_nothing_and_do_nothing_twice(admin, broker, written):
    ids = {await broker.bury_event() for _ in range(60)}

    async with admin.client(role="admin", scopes="admin:read admin:write") as api:
        replays = [api.post(f"{DEAD}/replay", json={"filter": {}}) for _ in range(3)]
        looks = [api.get(DEAD, params={"limit": 200}) for _ in range(3)]
        answers = await asyncio.gather(*replays, *looks)

    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["done"] for answer in answers[:3]) == 60
    assert await broker.count("ocr_queue.dead") == 0
    back = [message.message_id for message in await broker.take("ocr_queue")]
    assert len(back) == 60
    assert set(back) == ids


async def test_an_id_that_is_not_there_is_told_and_404_when_it_was_the_only_one(api, broker, written):
    message_id = await broker.bury_event()

    some = await api.post(f"{DEAD}/replay", json={"message_ids": [message_id, "gone"]})
    none = await api.post(f"{DEAD}/replay", json={"message_ids": ["gone"]})

    assert some.json()["missing"] == ["gone"]
    assert some.json()["done"] == 1
    assert none.status_code == 404
    assert none.json()["code"] == "dead_letter_not_found"
    assert "first 2,000 messages" in none.json()["detail"]
    assert (await api.get(f"{DEAD}/gone")).json()["code"] == "dead_letter_not_found"


@pytest.mark.parametrize(("method", "more"), [("GET", ""), ("GET", "/x"), ("POST", "/replay"), ("POST", "/purge")])
@pytest.mark.parametrize("queue", ["ocr_queue", "nothing.dead"])
async def test_only_queues_of_dead_letters_are_worked_on(api, outboxes, method, more, queue):
    body = {"json": {"filter": {}}} if method == "POST" else {}

    answer = await api.request(method, f"/v1/admin/dead-letters/{queue}{more}", **body)

    assert answer.status_code == 404
    assert answer.json()["code"] == "queue_not_found"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message_ids": []},
        {"message_ids": ["a"], "filter": {}},
        {"filter": {"status": "PARKED"}},
        {"filter": {}, "limit": 501},
        {"filter": {}, "body": "edited"},
        {"message_ids": ["a"] * 501},
    ],
)
async def test_what_cannot_be_right_is_refused(api, outboxes, body):
    for what in ("replay", "purge"):
        answer = await api.post(f"{DEAD}/{what}", json=body)

        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_that_is_no_json_is_refused(api, outboxes):
    form = await api.post(f"{DEAD}/purge", data={"filter": "all"})
    broken = await api.post(f"{DEAD}/purge", content=b"{", headers={"Content-Type": "application/json"})

    assert form.status_code == 415
    assert broken.status_code == 400


CALLS = [
    ("GET", "/v1/admin/outbox"),
    ("GET", "/v1/admin/outbox/01890000-0000-7000-8000-000000000000"),
    ("POST", "/v1/admin/outbox/replay"),
    ("POST", "/v1/admin/outbox/01890000-0000-7000-8000-000000000000/park"),
    ("GET", "/v1/admin/queues"),
    ("GET", "/v1/admin/dead-letters"),
    ("GET", DEAD),
    ("GET", f"{DEAD}/x"),
    ("POST", f"{DEAD}/replay"),
    ("POST", f"{DEAD}/purge"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_only_platform_admins_get_in(admin, outboxes, method, path):
    body = {"json": {}} if method == "POST" else {}
    callers = [({}, 401), ({"role": "user", "scopes": "projects:read"}, 403), ({"role": "admin", "scopes": ""}, 403)]
    if method == "POST":
        callers.append(({"role": "admin", "scopes": "admin:read"}, 403))

    for about, status in callers:
        async with admin.client(**about) as client:
            answer = await client.request(method, path, **body)

        assert answer.status_code == status, (about, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"


async def test_the_document_tells_every_route_with_its_problems(api, outboxes):
    document = (await api.get("/openapi.json")).json()

    calls = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert calls == {
        "GET /v1/admin/outbox",
        "GET /v1/admin/outbox/{event_id}",
        "POST /v1/admin/outbox/replay",
        "POST /v1/admin/outbox/{event_id}/park",
        "GET /v1/admin/queues",
        "GET /v1/admin/dead-letters",
        "GET /v1/admin/dead-letters/{queue}",
        "GET /v1/admin/dead-letters/{queue}/{message_id}",
        "POST /v1/admin/dead-letters/{queue}/replay",
        "POST /v1/admin/dead-letters/{queue}/purge",
    }
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["tags"] == ["Operations"]
            assert operation["description"]
            assert operation["security"]
            assert operation["responses"]["default"]["content"].keys() == {"application/problem+json"}
    assert (await api.delete("/v1/admin/outbox")).status_code == 405
