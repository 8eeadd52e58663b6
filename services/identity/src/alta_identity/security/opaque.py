"""Opaque tokens: 256 random bits that mean nothing without our database, which keeps only their SHA-256."""

import base64
import hashlib
import secrets

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TOKEN_BYTES = 32


def new_token() -> str:
    """Return a new token, 43 URL-safe characters."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def digest(token: str) -> bytes:
    """Return what is stored of a token. It holds 256 random bits, so a plain hash cannot be reversed."""
    return hashlib.sha256(token.encode()).digest()


def seal_with(token: str, secret: str) -> str:
    """Return `secret` sealed so that only the holder of `token` can have it read: we do not keep the key."""
    return _fernet(token).encrypt(secret.encode()).decode()


def open_with(token: str, sealed: str) -> str:
    """Return what was sealed with `token`. Raises `cryptography.fernet.InvalidToken` with any other."""
    return _fernet(token).decrypt(sealed.encode()).decode()


def _fernet(token: str) -> Fernet:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"alta refresh successor").derive(token.encode())
    return Fernet(base64.urlsafe_b64encode(key))
