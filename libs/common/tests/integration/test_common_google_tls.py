"""The way to Google itself: over TLS, as a service account. A server of our own stands at the other end."""

import asyncio
import ipaddress
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import jwt
from google.cloud import documentai_v1 as documentai

ACCOUNT = "reader@test.iam.gserviceaccount.com"
CALLER = """
import asyncio, sys
from pathlib import Path
from google.cloud import documentai_v1 as documentai
from alta_common.engines.google.connection import Connection, close_client, create_client

async def main():
    connection = Connection(sys.argv[1], credentials_file=Path(sys.argv[2]))
    client = create_client(documentai.DocumentProcessorServiceAsyncClient, connection)
    name = "projects/p/locations/eu/processors/x"
    answer = await client.process_document(request=documentai.ProcessRequest(name=name), retry=None, timeout=60)
    print(answer.document.text)
    await close_client(client)

asyncio.run(main())
"""


@dataclass
class Google:
    """A server with a certificate that it has signed itself, and what was said to it."""

    address: str
    certificate: Path
    metadata: list[dict[str, Any]] = field(default_factory=list)

    async def process(self, request: documentai.ProcessRequest, context: Any) -> documentai.ProcessResponse:
        self.metadata.append(dict(context.invocation_metadata()))
        return documentai.ProcessResponse(document={"text": f"read by {request.name.split('/')[-1]}"})


def pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_of(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1))
    builder = builder.not_valid_after(now + timedelta(days=1))
    own = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return (
        builder.add_extension(own, critical=False).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest_asyncio.fixture
async def google(key: rsa.RSAPrivateKey, tmp_path: Path) -> AsyncIterator[Google]:
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(certificate_of(key))
    server = grpc.aio.server()
    credentials = grpc.ssl_server_credentials([(pem(key), certificate.read_bytes())])
    google = Google(f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}", certificate)
    handler = grpc.unary_unary_rpc_method_handler(
        google.process, documentai.ProcessRequest.deserialize, documentai.ProcessResponse.serialize
    )
    service = "google.cloud.documentai.v1.DocumentProcessorService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"ProcessDocument": handler})])
    await server.start()
    yield google
    await server.stop(None)


@pytest.fixture
def account(key: rsa.RSAPrivateKey, tmp_path: Path) -> Path:
    path = tmp_path / "account.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "client_email": ACCOUNT,
                "private_key": pem(key).decode(),
                "token_uri": "https://oauth2.googleapis.com/token",
            }
        )
    )
    return path


async def test_google_is_called_over_tls_as_the_service_account_of_the_file(google: Google, account: Path) -> None:
    # A process of its own: gRPC reads whom to trust once, from the environment.
    caller = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CALLER, google.address, str(account)),
        stdout=asyncio.subprocess.PIPE,
        env={"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(google.certificate), "PATH": "/usr/bin:/bin"},
    )
    answer, _ = await caller.communicate()

    [metadata] = google.metadata
    kind, _, token = metadata["authorization"].partition(" ")
    claims = jwt.decode(token, verify=False)
    assert answer.decode().strip() == "read by x"
    assert kind == "Bearer"
    assert (claims["iss"], claims["sub"]) == (ACCOUNT, ACCOUNT)
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert metadata["x-goog-request-params"] == "name=projects/p/locations/eu/processors/x"
