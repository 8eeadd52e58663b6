"""What an operator sees through the gateway, and at the command line beside it."""

import asyncio

import pytest

from alta_common.testing import eventually
from alta_stack.client import AltaClient
from alta_stack.operate import operate, promote
from alta_stack.settings import Home
from journey_stack import Stack

pytestmark = pytest.mark.journey


async def test_a_platform_admin_sees_outboxes_queues_and_dead_letters(
    stack: Stack, client: AltaClient, capfd: pytest.CaptureFixture[str]
) -> None:
    project = await client.create_project("Watched")
    refused = await client.send("GET", "/v1/admin/outbox")
    home = Home(stack.file.parent)
    assert await asyncio.to_thread(promote, home, client.email) == 0
    await client.sign_in()

    events = await client.send("GET", "/v1/admin/outbox", params={"aggregate_id": project["id"]})
    event = await client.send("GET", f"/v1/admin/outbox/{events.json()['items'][0]['event_id']}")
    queues = await client.send("GET", "/v1/admin/queues")
    dead = await client.send("GET", "/v1/admin/dead-letters")
    letters = await client.send("GET", "/v1/admin/dead-letters/ocr_queue.dead")
    trial = {"schema": "projects", "filter": {"status": "PARKED"}, "dry_run": True}
    replay = await client.send("POST", "/v1/admin/outbox/replay", json=trial)
    # A service that is slow to write its first document is left out until the gateway asks for it again.
    await eventually(lambda: is_documented(client, "/v1/admin/dead-letters/{queue}/replay"))
    capfd.readouterr()
    status = await asyncio.to_thread(operate, home, ["outbox", "ls", "--aggregate", project["id"]])

    assert refused.status_code == 403, refused.text
    assert refused.json()["code"] == "forbidden"
    assert [one["event_type"] for one in events.json()["items"]] == ["PROJECT_CREATED"]
    assert event.json()["payload"]["data"]["name"] == "Watched"
    assert event.headers["cache-control"] == "no-store"
    consumers = {queue["name"]: queue["consumers"] for queue in queues.json()["items"]}
    assert consumers["ocr_queue"] >= 1
    assert queues.json()["is_complete"] is True
    assert {queue["source"] for queue in dead.json()["items"]} >= {"ocr_queue", "email_queue"}
    assert letters.status_code == replay.status_code == 200, (letters.text, replay.text)
    assert status == 0
    assert "PROJECT_CREATED" in capfd.readouterr().out


async def is_documented(client: AltaClient, path: str) -> bool:
    """Say whether the API document tells of a path."""
    return path in (await client.request("GET", "/openapi.json")).json()["paths"]


def test_the_command_line_says_what_it_does(stack: Stack) -> None:
    assert operate(Home(stack.file.parent), ["queues", "ls", "--json"]) == 0
    assert operate(Home(stack.file.parent), ["dlq", "ls", "nothing"]) == 3
