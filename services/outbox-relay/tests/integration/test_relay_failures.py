import pytest

from alta_common.ids import new_id
from alta_common.testing import eventually
from alta_outbox_relay.policy import RelayPolicy


async def test_what_nobody_hears_is_tried_again_and_then_parked(
    run_relay, tables, writer, observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = new_id()
    await writer.write_raw(routing_key="projects.nobody.v1", aggregate_id=project)
    await writer.write(writer.event("behind it", project), writer.event("beside it"))

    with monkeypatch.context() as patched:
        # With its jitter it may be any moment.
        patched.setattr(RelayPolicy, "retry_in", lambda *_: 300.0)
        async with run_relay() as relay:
            await eventually(lambda: relay.serving)
            # The others go on, and what is behind it waits.
            await eventually(lambda: _states(writer, ["FAILED", "PENDING", "COMPLETED"]))
    row = await writer.superuser.fetchrow("SELECT * FROM projects.outbox_events ORDER BY id LIMIT 1")
    assert row["attempts"] == 1
    assert row["last_error"] == "no queue hears projects.nobody.v1 at projects.events"
    assert row["next_attempt_at"] is not None

    # Another relay takes over what the first one knew.
    await writer.superuser.execute("UPDATE projects.outbox_pending SET due_at = now() WHERE attempts = 1")
    async with run_relay(retry_seconds=0.01):
        await eventually(lambda: _states(writer, ["PARKED", "COMPLETED", "COMPLETED"]))
    attempts = await writer.superuser.fetchval("SELECT attempts FROM projects.outbox_parked")
    assert attempts == 3
    assert await observed.names() == ["beside it", "behind it"]


async def test_a_broadcast_that_no_process_hears_holds_nothing_up(relay, writer, observed) -> None:
    document = new_id()
    await writer.write_raw(routing_key="projects.document.ocr_cancelled.v1", aggregate_id=document)
    await writer.write(writer.event("behind it", document))

    await eventually(lambda: _states(writer, ["COMPLETED", "COMPLETED"]))

    assert await observed.names() == ["behind it"]


async def test_a_parked_event_goes_out_once_its_cause_is_gone(relay, writer, observed) -> None:
    event_number = await writer.write_raw(routing_key="projects.nobody.v1", name="found")
    await eventually(lambda: _states(writer, ["PARKED"]))

    await observed.bind_also("projects.nobody.v1")
    await writer.superuser.execute("SELECT projects.outbox_replay($1)", [event_number])

    await eventually(lambda: _states(writer, ["COMPLETED"]))
    assert await observed.names() == ["found"]


async def test_an_unknown_exchange_disturbs_nobody(relay, writer, observed) -> None:
    await writer.write(*(writer.event(f"before {number}") for number in range(20)))
    await writer.write_raw(exchange="unknown.events")
    await writer.write(*(writer.event(f"after {number}") for number in range(20)))

    await eventually(lambda: _states(writer, ["COMPLETED"] * 20 + ["PARKED"] + ["COMPLETED"] * 20))

    error = await writer.superuser.fetchval("SELECT last_error FROM projects.outbox_parked")
    assert "'unknown.events' is not one of ours" in error
    assert len(await observed.take()) == 40


async def test_an_event_that_is_gone_leaves_its_place_to_the_next(run_relay, tables, writer, observed) -> None:
    project = new_id()
    await writer.write(*(writer.event("gone", project) for _ in range(300)), writer.event("behind them", project))
    async with writer.superuser.transaction():
        # As when somebody drops a partition by hand.
        await writer.superuser.execute("SET LOCAL session_replication_role = replica")
        await writer.superuser.execute("DELETE FROM projects.outbox_event WHERE id <= 300")

    async with run_relay():
        await eventually(writer.is_empty)

    reasons = await writer.superuser.fetch("SELECT last_error, count(*) FROM projects.outbox_parked GROUP BY 1")
    ((reason, count),) = reasons
    assert ("the event itself is gone" in reason, count) == (True, 300)
    assert await observed.names() == ["behind them"]


async def test_what_cannot_be_a_message_is_parked_at_once(relay, writer, observed) -> None:
    project = new_id()
    await writer.write_raw(aggregate_id=project, body=b"x" * 65_537)
    await writer.write_raw(aggregate_id=project, routing_key="k" * 300)
    await writer.write(writer.event("behind them", project))

    await eventually(lambda: _states(writer, ["PARKED", "PARKED", "COMPLETED"]))

    errors = await writer.superuser.fetch("SELECT last_error FROM projects.outbox_parked ORDER BY id")
    assert "65537 bytes" in errors[0]["last_error"]
    assert "cannot be written as AMQP" in errors[1]["last_error"]
    assert await observed.names() == ["behind them"]


async def _states(writer, wanted: list[str]) -> bool:
    return await writer.states() == wanted
