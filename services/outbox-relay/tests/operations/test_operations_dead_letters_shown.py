"""What a dead letter shows of itself, whatever it is."""

import orjson

DEAD = "/v1/admin/dead-letters/ocr_queue.dead"


async def test_a_message_is_shown_with_what_it_says(api, broker):
    message_id = await broker.bury_event(name="Letters", failed_at="2026-01-02T03:04:05.000Z")

    answer = await api.get(f"{DEAD}/{message_id}")

    letter = answer.json()
    assert answer.status_code == 200, answer.text
    assert letter["payload"]["data"]["name"] == "Letters"
    assert letter["reason"] == "handler_timeout"
    assert letter["error"] == "HandlerTimeoutError: it took more than 60 s"
    assert letter["failed_at"] == "2026-01-02T03:04:05Z"
    assert letter["attempts"] == 3
    assert (letter["exchange"], letter["routing_key"]) == ("projects.events", "projects.project.created.v1")
    assert letter["headers"]["traceparent"].startswith("00-0af7651916cd43dd")
    assert await broker.count("ocr_queue.dead") == 1


async def test_poison_is_shown_safely(api, broker):
    deep = {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}
    many = {f"h{number}": number for number in range(300)}
    await broker.bury("ocr_queue", b"\xff\x00 not JSON \x1b[31m", message_id="no/plain id", headers={"deep": deep})
    await broker.bury(
        "ocr_queue", b'"\\ud800"', headers={"long": "x" * 100_000, "bytes": bytearray(b"\xff\xfe"), **many}
    )
    await broker.bury("ocr_queue", b"[" * 100_000, type="T" * 200, headers={"x-alta-attempt": "many", "x-death": "no"})
    await broker.bury("ocr_queue", b'{"a":' * 200 + b"[" * 101 + b"]" * 101 + b"}" * 200)
    await broker.bury_undecodable("ocr_queue", "undecodable")

    listed = await api.get(DEAD)
    *shown, undecodable = [(await api.get(f"{DEAD}/{one['message_id']}")).json() for one in listed.json()["items"]]

    assert shown[0]["message_id"].startswith("sha256-")
    assert all(letter["payload"] is None and letter["payload_base64"] for letter in shown)
    assert shown[0]["headers"]["deep"]["a"]["b"]["c"] == {"d": "…"}
    assert len(orjson.dumps(shown[1]["headers"])) < 10_000
    assert "more" in shown[1]["headers"]["…"]
    assert shown[2]["attempts"] is None
    assert shown[2]["size_bytes"] == 100_000
    assert (undecodable["message_id"], undecodable["event_type"]) == ("undecodable", "PROJECT_CREATED")
    assert undecodable["headers"]["x-undecodable"]


async def test_a_message_that_the_broker_moved_says_where_it_came_from(api, broker):
    death = {"queue": "ocr_queue", "reason": "delivery_limit", "count": 1, "exchange": "projects.events"}
    headers = {"x-death": [{**death, "routing-keys": ["projects.document.ocr_requested.v1"]}]}
    await broker.bury("ocr_queue", message_id="moved", headers=headers)

    letter = (await api.get(f"{DEAD}/moved")).json()
    await api.post(f"{DEAD}/replay", json={"filter": {"reason": "delivery_limit"}})

    assert letter["reason"] == "delivery_limit"
    assert letter["routing_key"] == "projects.document.ocr_requested.v1"
    (message,) = await broker.take("ocr_queue")
    assert message.headers["x-alta-routing-key"] == "projects.document.ocr_requested.v1"
    assert "x-death" not in message.headers


async def test_json_is_shown_up_to_a_hundred_levels(api, broker):
    for levels in (100, 101):
        await broker.bury("ocr_queue", b"[" * levels + b"]" * levels, message_id=f"{levels}-levels")

    most, more = [(await api.get(f"{DEAD}/{levels}-levels")).json() for levels in (100, 101)]

    assert str(most["payload"]).count("[") == 100
    assert most["payload_base64"] is None
    assert more["payload"] is None
    assert more["payload_base64"]


async def test_a_message_that_killed_its_workers_died_of_that_and_not_of_what_was_before(api, broker):
    # It was tried again once, as a consumer does it; the next attempts came to no end.
    before = {"x-alta-reason": "unavailable", "x-alta-error": "UnavailableError: storage is away", "x-alta-attempt": 2}
    origin = {"x-alta-exchange": "projects.events", "x-alta-routing-key": "projects.document.ocr_requested.v1"}
    await broker.wear_out("ocr_queue", message_id="killer", headers=before | origin)

    letter = (await api.get(f"{DEAD}/killer")).json()
    others = (await api.post(f"{DEAD}/purge", json={"filter": {"reason": "unavailable"}, "dry_run": True})).json()
    purged = (await api.post(f"{DEAD}/purge", json={"filter": {"reason": "delivery_limit"}})).json()

    assert letter["reason"] == "delivery_limit"
    assert letter["error"] == "UnavailableError: storage is away"
    assert letter["failed_at"] is not None
    assert letter["routing_key"] == "projects.document.ocr_requested.v1"
    assert (others["matched"], purged["done"]) == (0, 1)
