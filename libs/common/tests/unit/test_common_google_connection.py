"""Which host is called, and as whom."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud.documentai_v1 import DocumentProcessorServiceAsyncClient

from alta_common.engines.google.connection import (
    Connection,
    CredentialsError,
    close_client,
    create_client,
)

HOST = "eu-documentai.googleapis.com"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A service account's key file, of an account that does not exist."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    account = {
        "type": "service_account",
        "client_email": "nobody@test.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
        "private_key": key.private_bytes(encoding, form, serialization.NoEncryption()).decode(),
    }
    path = tmp_path / "key.json"
    path.write_text(json.dumps(account))
    return path


@pytest_asyncio.fixture
async def create() -> AsyncIterator[Callable[[Connection], Any]]:
    clients: list[Any] = []

    def make(connection: Connection) -> Any:
        clients.append(create_client(DocumentProcessorServiceAsyncClient, connection))
        return clients[-1]

    yield make
    for client in clients:
        await close_client(client)


async def test_the_regions_own_host_is_called_as_the_account_of_the_file(create: Any, key_file: Path) -> None:
    client = create(Connection(HOST, credentials_file=key_file))

    assert client.transport.host == f"{HOST}:443"
    assert client.transport._credentials.service_account_email == "nobody@test.iam.gserviceaccount.com"


@pytest.mark.parametrize("content", [None, "", "no json", "{}"])
async def test_a_file_that_holds_no_account_is_named(create: Any, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(CredentialsError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        create(Connection(HOST, credentials_file=path))
