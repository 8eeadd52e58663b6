"""Running a command: settings, use cases, who it is, and how it ends."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click
from sqlalchemy.exc import SQLAlchemyError

from alta_common.errors import AltaError, ConflictError, InvalidError, NotFoundError, UnavailableError
from alta_common.ids import new_id
from alta_common.settings import load
from alta_common.telemetry.context import bind_request
from alta_common.telemetry.logs import setup_logs
from alta_outbox_relay.models.operator import Operator
from alta_outbox_relay.settings import OperationsSettings
from alta_outbox_relay.wiring import Operations, create_operations

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

_MAX_NAME = 64


class AskedWronglyError(click.ClickException):
    """What was asked for cannot be right."""

    exit_code = 2


class NotThereError(click.ClickException):
    """There is no such thing."""

    exit_code = 3


class NotNowError(click.ClickException):
    """The thing is in a state that does not allow it."""

    exit_code = 4


class AwayError(click.ClickException):
    """PostgreSQL or RabbitMQ does not answer."""

    exit_code = 5


_ENDS: dict[type[AltaError], type[click.ClickException]] = {
    InvalidError: AskedWronglyError,
    NotFoundError: NotThereError,
    ConflictError: NotNowError,
    UnavailableError: AwayError,
}


def run(use: Callable[[Operations], Awaitable[T]]) -> T:
    """Do something with the use cases and return what came of it. Raises a `click.ClickException`."""
    # What libraries say of a server that is away would hide what we say of it.
    setup_logs("alta", "CRITICAL")
    settings = load(OperationsSettings)
    try:
        return asyncio.run(_use(settings, use))
    except AltaError as error:
        end = next((end for kind, end in _ENDS.items() if isinstance(error, kind)), click.ClickException)
        raise end(error.detail) from error
    except SQLAlchemyError as error:
        raise click.ClickException(f"PostgreSQL refused it: {getattr(error, 'orig', error)}") from error


async def _use(settings: OperationsSettings, use: Callable[[Operations], Awaitable[T]]) -> T:
    operations = create_operations(settings, "alta-cli")
    try:
        with bind_request(str(new_id())):
            return await use(operations)
    finally:
        await operations.aclose()


def operator_named(name: str | None) -> Operator:
    """Return who is at the command line."""
    return Operator(None, (name or _user())[:_MAX_NAME])


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # The user of a container has no name.
        return "unknown"


def prints_json(command: Command) -> Command:
    """Give a command the option `--json`."""
    return click.option("--json", "is_json", is_flag=True, help="Print JSON, as the API has it.")(command)


def changes(command: Command) -> Command:
    """Give a command the options of one that changes something."""
    command = click.option("--operator", help="Who does it, for the audit trail; your account's name by default.")(
        command
    )
    command = click.option("-y", "--yes", is_flag=True, help="Do not ask first.")(command)
    command = click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done.")(command)
    return prints_json(command)
