"""Signed addresses of objects in Cloud Storage (V4 signing process, GOOG4-RSA-SHA256)."""

from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials, Credentials, Signing
from google.auth.transport.requests import Request
from google.cloud.storage import Blob
from google.oauth2 import service_account

LONGEST = timedelta(days=7)
"""What Google allows for V4 signatures."""


def signed_url(blob: Blob, credentials: Credentials, lifetime: timedelta, filename: str | None) -> str:
    """Return an address at which anybody may GET `blob` for `lifetime`; it blocks.

    With `filename` a browser saves what it gets under that name. Credentials with a private key sign here; those of a
    workload have none and ask the IAM API (the service account needs `iam.serviceAccounts.signBlob` on itself).
    Raises `ValueError` for a lifetime that cannot be.
    """
    if not timedelta(0) < lifetime <= LONGEST:
        raise ValueError(f"a signed address cannot be valid for {lifetime}")
    url: str = blob.generate_signed_url(
        version="v4",
        expiration=lifetime,
        method="GET",
        response_disposition=None if filename is None else _attachment(filename),
        **_signer(credentials),
    )
    return url


def _signer(credentials: Credentials) -> dict[str, Any]:
    if isinstance(credentials, Signing):
        return {"credentials": credentials}
    if isinstance(credentials, AnonymousCredentials):
        return {"credentials": _emulator_credentials()}
    credentials.refresh(Request())  # type: ignore[no-untyped-call]  # google-auth ships no types for it
    return {
        "service_account_email": getattr(credentials, "service_account_email", ""),
        "access_token": credentials.token,
    }


@cache
def _emulator_credentials() -> Signing:
    """Return credentials that sign with a key of their own making: emulators look at no signature."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    credentials: Signing = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]  # as above
        {
            "client_email": "emulator@alta.invalid",
            "token_uri": "https://alta.invalid/token",
            "private_key": private.decode(),
        }
    )
    return credentials


def _attachment(filename: str) -> str:
    # RFC 6266 with RFC 8187's encoding: nothing in a name can end the header or the quotes.
    return f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
