"""`alta` at the command line, with the relay's environment and nothing else."""

import asyncio
import sys
from contextlib import suppress

import orjson
import pytest
from click.testing import CliRunner

from alta_common.ids import new_id
from alta_common.testing import eventually
from alta_outbox_relay.cli import main


@pytest.fixture
def alta(environment):
    """Runs a command in this process; it has an event loop of its own, so it gets a thread."""

    async def run(*words, types=""):
        runner = CliRunner(env=environment)
        return await asyncio.to_thread(runner.invoke, main, [str(word) for word in words], types)

    return run


async def test_events_are_listed_shown_parked_and_replayed(alta, written, broker):
    ids = await written.write("first", "second", "third")
    await written.fail(ids[0])
    await written.complete(ids[2])

    listed = await alta("outbox", "ls", "--schema", "projects", "--status", "failed")
    shown = await alta("outbox", "show", ids[0])
    parked = await alta("outbox", "park", ids[0], "--reason", "it is broken", "--operator", "grace")
    trial = await alta("outbox", "replay", "--status", "parked", "--dry-run")
    refused = await alta("outbox", "replay", "--status", "parked", types="n\n")
    assert (await written.states())[ids[0]] == "PARKED"
    replayed = await alta("outbox", "replay", "--status", "parked", "--operator", "grace", types="y\n")
    again = await alta("outbox", "replay", ids[2], "--yes", "--json")

    assert [result.exit_code for result in (listed, shown, parked, trial, refused, replayed)] == [0, 0, 0, 0, 1, 0]
    assert ids[0] in listed.output
    assert ids[1] not in listed.output
    assert "no queue takes it" in listed.output
    assert orjson.loads(shown.stdout)["payload"]["data"]["name"] == "first"
    assert "1 event:" in trial.output
    assert "Put back 1" in replayed.output
    assert orjson.loads(again.stdout)["replayed"] == 1
    assert set((await written.states()).values()) == {"PENDING"}
    noted = await written.audit()
    assert [entry["action"] for entry in noted] == ["outbox.parked", "outbox.replayed", "outbox.replayed"]
    assert noted[0]["actor_id"] is None
    assert noted[0]["details"]["operator"] == "grace"
    assert noted[0]["request_id"]


async def test_a_long_list_is_replayed_to_its_end(alta, written, monkeypatch):
    monkeypatch.setattr("alta_outbox_relay.cli_outbox.REPLAYED_AT_ONCE", 2)
    ids = await written.write(*"abcde")
    await written.park(*ids)
    await written.write("other", schema="identity")

    result = await alta("outbox", "replay", "--status", "PARKED", "--yes", "--json")

    assert result.exit_code == 0, result.output
    said = orjson.loads(result.stdout)
    assert (said["matched"], said["replayed"]) == (5, 5)
    assert set((await written.states()).values()) == {"PENDING"}


async def test_queues_and_dead_letters_are_listed_replayed_and_purged(alta, written, broker):
    ids = [await broker.bury_event(name=name) for name in "abc"]

    queues = await alta("queues", "ls")
    dead = await alta("dlq", "ls")
    letters = await alta("dlq", "ls", "ocr_queue", "--limit", 2)
    shown = await alta("dlq", "show", "ocr_queue.dead", ids[0])
    trial = await alta("dlq", "purge", "ocr_queue", "--all", "--dry-run")
    replayed = await alta("dlq", "replay", "ocr_queue", ids[0], "--yes", "--operator", "grace")
    purged = await alta("dlq", "purge", "ocr_queue", "--reason", "handler_timeout", "--yes", "--json")

    results = (queues, dead, letters, shown, trial, replayed, purged)
    assert [result.exit_code for result in results] == [0] * 7, [result.output for result in results]
    assert "retry.30m" in queues.output
    assert "2 h" in dead.output
    assert ids[1] in letters.output
    assert ids[2] not in letters.output
    assert "of 3" in letters.stderr
    assert orjson.loads(shown.stdout)["payload"]["data"]["name"] == "a"
    assert "3 messages of ocr_queue.dead" in trial.output
    assert "1 done, 2 messages left in ocr_queue.dead" in replayed.output
    assert orjson.loads(purged.stdout)["done"] == 2
    (message,) = await broker.take("ocr_queue")
    assert message.message_id == ids[0]
    assert message.headers["x-alta-replayed"].startswith("cli:grace ")
    actions = [(entry["action"], entry["details"]["phase"]) for entry in await written.audit()]
    assert actions == [
        ("dead_letters.replayed", "intended"),
        ("dead_letters.replayed", "done"),
        ("dead_letters.purged", "intended"),
        ("dead_letters.purged", "done"),
    ]


async def test_a_replay_that_is_killed_loses_nothing(environment, written, broker):
    ids = {await broker.bury_event() for _ in range(150)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alta_outbox_relay.cli", "dlq", "replay", "ocr_queue", "--all", "--yes"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    found = set()

    async def has_begun():
        return process.returncode is not None or await broker.count("ocr_queue") > 0

    async def are_all_there():
        # What the killed one held is back as soon as the broker has seen its connection end.
        found.update(message.message_id for message in await broker.take("ocr_queue"))
        found.update(message.message_id for message in await broker.take("ocr_queue.dead"))
        return found == ids

    await eventually(has_begun, 120)
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()

    await eventually(are_all_there, 120)
    assert (await written.audit())[0]["details"]["phase"] == "intended"


async def test_what_comes_from_outside_cannot_steer_the_terminal(alta, broker):
    await broker.bury("ocr_queue", b"\x1b[2J", headers={"x-alta-error": "\x1b[2Jgone\nand another line"})

    listed = await alta("dlq", "ls", "ocr_queue")
    queues = await alta("dlq", "ls", "ocr_queue", "--json")

    assert "\x1b" not in listed.output + queues.output
    assert "·[2Jgone·and another line" in listed.output


async def test_who_throws_results_away_is_told_how_they_come_back(alta, broker):
    await broker.bury_event("projects_results_queue")
    await broker.bury_event("ocr_queue")

    results = await alta("dlq", "purge", "projects_results_queue", "--all", "--dry-run", "--json")
    requests = await alta("dlq", "purge", "ocr_queue", "--all", "--dry-run", "--json")

    assert "in no outbox" in results.stderr
    assert orjson.loads(results.stdout)["matched"] == orjson.loads(requests.stdout)["matched"] == 1
    assert requests.stderr == ""


async def test_a_message_that_is_nested_too_deep_is_shown_as_it_is(alta, broker):
    await broker.bury("ocr_queue", b"[" * 300 + b"]" * 300, message_id="deep")

    shown = await alta("dlq", "show", "ocr_queue", "deep")

    assert shown.exit_code == 0, shown.output
    assert orjson.loads(shown.stdout)["payload_base64"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["outbox", "ls", "--status", "SLEEPING"], 2),
        (["outbox", "ls", "--schema", "public"], 2),
        (["outbox", "ls", "--after", "yesterday"], 2),
        (["outbox", "replay", "--yes"], 2),
        (["outbox", "replay", str(new_id()), "--status", "PARKED"], 2),
        (["outbox", "replay", str(new_id()), "--type", "PROJECT_CREATED"], 2),
        (["outbox", "replay", str(new_id()), "--schema", "projects"], 2),
        (["outbox", "show", str(new_id())], 3),
        (["outbox", "park", str(new_id()), "--reason", "because"], 3),
        (["dlq", "replay", "ocr_queue", "--yes"], 2),
        (["dlq", "purge", "ocr_queue", "an-id", "--all", "--yes"], 2),
        (["dlq", "ls", "nothing"], 3),
        (["dlq", "show", "ocr_queue", "nothing"], 3),
    ],
)
async def test_the_exit_status_says_what_went_wrong(alta, broker, outboxes, words, status):
    result = await alta(*words)

    assert result.exit_code == status, result.output
    assert "Error: " in result.stderr


async def test_servers_that_are_away_are_named(alta, environment, written):
    (event_id,) = await written.write("a")
    environment["RABBITMQ_URL"] = "amqp://user:secret@127.0.0.1:1/"
    no_broker = await alta("queues", "ls")
    still = await alta("outbox", "show", event_id)
    environment["POSTGRES_PORT"] = "1"
    no_database = await alta("outbox", "ls")

    assert (no_broker.exit_code, still.exit_code, no_database.exit_code) == (5, 0, 5)
    assert "127.0.0.1:1" in no_broker.stderr
    assert "secret" not in no_broker.output
    assert "database does not answer" in no_database.stderr


async def test_it_is_a_program_that_names_a_missing_setting(environment):
    del environment["POSTGRES_PASSWORD"]

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alta_outbox_relay.cli", "outbox", "ls"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()

    assert process.returncode == 2
    assert b"POSTGRES_PASSWORD" in errors
    assert output == b""
