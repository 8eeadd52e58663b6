"""Reaching Google's APIs over gRPC: a regional endpoint over TLS, or an emulator in plaintext."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.api_core.client_options import ClientOptions
from google.auth.exceptions import GoogleAuthError
from google.oauth2.service_account import Credentials

from alta_common.errors import AltaError, UnavailableError

Client = TypeVar("Client")

_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
# A page of text with its geometry is larger than gRPC's 4 MB; Google's own channels have no limit either.
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class CredentialsError(AltaError):
    """There are no credentials for Google, or they cannot be used."""

    code = "credentials_unusable"


@dataclass(frozen=True)
class Connection:
    """Where an API is, and as whom it is called."""

    endpoint: str
    """Google's host for the region, such as `eu-documentai.googleapis.com`."""
    emulator: str = ""
    """`host:port` of an emulator that is called instead, in plaintext and as nobody."""
    credentials_file: Path | None = None
    """A service account's key file; None: what the machine itself is (workload identity)."""


def create_client(kind: Callable[..., Client], connection: Connection) -> Client:
    """Return an asynchronous client of Google's library (`kind`), which belongs to the running event loop.

    Close it with `close_client`. Raises `CredentialsError`.
    """
    if connection.emulator:
        # The library's client would insist on TLS; a channel of our own is taken as it is.
        transport = kind.get_transport_class("grpc_asyncio")  # type: ignore[attr-defined]  # all its clients have it
        return kind(transport=transport(channel=grpc.aio.insecure_channel(connection.emulator, options=_UNLIMITED)))
    try:
        return kind(
            transport="grpc_asyncio",
            credentials=_credentials(connection.credentials_file),
            client_options=ClientOptions(api_endpoint=connection.endpoint),
        )
    except (GoogleAuthError, OSError, ValueError) as error:
        raise CredentialsError(f"Google cannot be called (GOOGLE_APPLICATION_CREDENTIALS): {error}") from error


async def close_client(client: Any) -> None:
    """Close the client's channel; its running calls fail."""
    await client.transport.close()


def check_client(client: Any) -> None:
    """Raise `UnavailableError` when the client's connection is known to be broken. Asks nothing of the network."""
    state = client.transport.grpc_channel.get_state(try_to_connect=True)
    if state in {grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN}:
        raise UnavailableError(f"the connection to {client.transport.host} is broken")


def _credentials(path: Path | None) -> Credentials | None:
    if path is None:
        return None
    found: Credentials = Credentials.from_service_account_file(str(path), scopes=_SCOPES)  # type: ignore[no-untyped-call]  # no types
    return found
