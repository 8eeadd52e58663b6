"""A whole running stack, and a client of its gateway."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from alta_stack.beside import stack_beside
from alta_stack.client import AltaClient
from alta_stack.settings import CHECKOUT
from journey_stack import Stack
from otlp import TraceReceiver, trace_receiver


@pytest.fixture(scope="session")
def traces() -> Iterator[TraceReceiver]:
    """Return the receiver of every span that the stack's services export."""
    with trace_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def stack(traces: TraceReceiver) -> Iterator[Stack]:
    """Start one stack for all journey tests, beside any that a developer has running."""
    quick = {"FAILURE_MAIL_CHECK_SECONDS": "1"}
    # These are about what the system does, not about how busy this machine is: without Redis the gateway signs nobody
    # in, and does not know who has signed out.
    patient = {"REDIS_TIMEOUT_SECONDS": "30", "REDIS_PATIENT_TIMEOUT_SECONDS": "30"}
    with stack_beside("journey", OTEL_EXPORTER_OTLP_ENDPOINT=traces.endpoint, **quick, **patient) as home:
        yield Stack(home.stack_file)


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[AltaClient]:
    """Return a client of the gateway that has registered, verified its address and signed in."""
    async with AltaClient(stack.gateway, stack.mail) as client:
        await client.register_and_sign_in()
        yield client


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real pages and speech beside the checkout."""
    folder = CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real inputs: {folder.relative_to(CHECKOUT.parent)} is not beside the checkout")
    return folder
