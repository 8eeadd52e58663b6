import pytest
from aio_pika import IncomingMessage
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from pydantic import ValidationError

from alta_common import errors
from alta_common.contracts.identity import IdentityEmailRequested
from alta_common.contracts.projects import ProjectCreated, ProjectsEmailRequested
from alta_common.ids import new_id
from alta_common.messaging.envelope import Envelope, attempt_of, copy_of, message_of
from alta_common.messaging.failures import (
    Fate,
    PermanentError,
    UnknownEventError,
    UnreadableMessageError,
    fate_of,
)


def a_project() -> ProjectCreated:
    return ProjectCreated(project_id=new_id(), name="Letters", created_by=new_id())


def test_an_event_comes_out_as_it_went_in() -> None:
    event = a_project()
    message = message_of(event, app_id="projects", correlation_id="abc", traceparent="00-1")

    envelope = Envelope.read(message.body, message.headers)

    assert envelope.event("projects.project.created.v1") == event.model_copy(
        update={"occurred_at": envelope.event("").occurred_at}
    )
    assert envelope.correlation_id == "abc"
    assert envelope.traceparent == "00-1"
    assert message.headers["cloudEvents:type"] == "PROJECT_CREATED"
    assert message.message_id == str(event.event_id)


def test_a_copy_has_as_little_priority_as_what_it_is_a_copy_of() -> None:
    message = message_of(a_project(), app_id="projects", correlation_id=None, traceparent=None)
    header = ContentHeader(body_size=message.body_size, properties=message.properties)
    arrived = IncomingMessage(DeliveredMessage(Basic.Deliver(), header, message.body, None))  # type: ignore[arg-type]

    # Not 0 either: for RabbitMQ 4.3 that is less than none.
    assert message.properties.priority is None
    assert copy_of(arrived, {}).properties.priority is None


def test_one_type_of_two_publishers_keeps_its_publisher() -> None:
    for contract in (IdentityEmailRequested, ProjectsEmailRequested):
        event = contract(email_id=new_id(), template="welcome", to="a@example.org")

        assert type(Envelope.read(event.to_bytes(), {}).event("email_queue")) is contract


def test_an_event_without_a_request_is_its_own_correlation() -> None:
    event = a_project()

    assert Envelope.read(event.to_bytes(), {}).correlation_id == str(event.event_id)


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"{}", b'{"id": 7}', b'{"id": "7", "data": [1]}', b"\xff"])
def test_what_is_no_envelope_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableMessageError):
        Envelope.read(body, {})


def test_an_unknown_contract_is_unknown() -> None:
    with pytest.raises(UnknownEventError):
        Envelope.read(b'{"id": "x", "dataschema": "urn:alta:no.such.v9"}', {}).event("also.unknown")


def test_data_that_does_not_fit_is_refused() -> None:
    body = a_project().to_bytes().replace(b'"created_by":"', b'"created_by":"no')

    with pytest.raises(ValidationError):
        Envelope.read(body, {}).event("projects.project.created.v1")


@pytest.mark.parametrize(("header", "attempt"), [(3, 3), (None, 1), ("x", 1), (0, 1), (-2, 1)])
def test_attempts_count_from_one(header: object, attempt: int) -> None:
    assert attempt_of({} if header is None else {"x-alta-attempt": header}) == attempt


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (errors.UnavailableError("later"), Fate.RETRY),
        (errors.NotFoundError("not yet"), Fate.RETRY),
        (errors.ConflictError("not now"), Fate.RETRY),
        (OSError("disk"), Fate.RETRY),
        (RuntimeError("who knows"), Fate.RETRY),
        (errors.InvalidError("never"), Fate.DEAD),
        (errors.UnsupportedMediaTypeError("never"), Fate.DEAD),
        (PermanentError("never"), Fate.DEAD),
        (UnknownEventError("never"), Fate.DEAD),
    ],
    ids=repr,
)
def test_only_what_may_get_better_is_tried_again(error: Exception, fate: Fate) -> None:
    assert fate_of(error) is fate
