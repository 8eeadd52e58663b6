"""What identity reads from the environment. Every default of EDGE's "Identity" table is a setting here."""

import os
from datetime import timedelta
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet
from pydantic import Field, SecretStr, field_validator

from alta_common.settings import (
    HttpSettings,
    PostgresSettings,
    RedisSettings,
    SealingSettings,
    ServiceSettings,
    TokenSettings,
)

# services/identity/migrations of the checkout; an image says where it keeps them in MIGRATIONS_DIR.
MIGRATIONS_DIR = Path(__file__).resolve().parents[2] / "migrations"


class MigrationSettings(PostgresSettings):
    """What a migration of identity's schema needs."""

    migrations_dir: Path = Field(MIGRATIONS_DIR, description="Folder with Alembic's env.py and versions.")
    outbox_relay_role: str = Field("alta_relay", description="Role of the relay, granted the outbox tables.")


MIN_PEPPER_CHARACTERS = 16


def _parsed_peppers(text: str) -> dict[int, str]:
    """Read `secret` (version 1) or `2:new,1:old`. Raises `ValueError` when it is neither, or one is too short."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) == 1 and ":" not in parts[0]:
        parts = [f"1:{parts[0]}"]
    peppers: dict[int, str] = {}
    for part in parts:
        version, colon, secret = part.partition(":")
        if not colon or not version.isdecimal() or int(version) in peppers:
            raise ValueError("a pepper is `secret`, or `version:secret` parts with a comma between them")
        if len(secret) < MIN_PEPPER_CHARACTERS:
            raise ValueError(f"pepper {version} has fewer than {MIN_PEPPER_CHARACTERS} characters")
        peppers[int(version)] = secret
    if not peppers:
        raise ValueError("a pepper is needed")
    return peppers


def _fernet_keys(text: str) -> list[str]:
    """Read Fernet keys with commas between them. Raises `ValueError` when there is none or one is malformed."""
    keys = [key.strip() for key in text.split(",") if key.strip()]
    MultiFernet([Fernet(key) for key in keys])
    return keys


class IdentitySettings(ServiceSettings, HttpSettings, PostgresSettings, RedisSettings, SealingSettings, TokenSettings):
    """What the HTTP process of identity needs."""

    public_url: str = Field("http://localhost:8000", description="Where clients reach the gateway.")

    identity_key_encryption_key: SecretStr = Field(
        description="Fernet keys, comma separated, newest first, that encrypt private signing keys at rest."
    )
    identity_password_pepper: SecretStr = Field(
        description="Secret mixed into password hashes (16 characters or more): `secret`, or `2:new,1:old` to rotate."
    )

    identity_argon2_memory_kib: int = Field(19_456, ge=64, description="argon2id memory of one hash, KiB.")
    identity_argon2_time_cost: int = Field(2, ge=1, description="argon2id passes.")
    identity_argon2_parallelism: int = Field(1, ge=1, description="argon2id lanes.")
    identity_hash_threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, le=64, description="Password hashes made at once."
    )
    identity_hash_queue_seconds: float = Field(2.0, gt=0, description="Longest wait for a hash before answering 503.")
    identity_even_answer_ms: int = Field(
        150, ge=0, description="Answers that must not tell known from unknown addresses take at least this long."
    )

    identity_access_token_seconds: int = Field(300, ge=30, le=3600, description="Life of an access token.")
    identity_refresh_idle_days: int = Field(14, ge=1, description="A session ends when unused for this long.")
    identity_refresh_max_days: int = Field(90, ge=1, description="A session ends this long after signing in.")
    identity_refresh_grace_seconds: int = Field(
        30, ge=0, description="A refresh token used again within this time gives the same successor."
    )
    identity_verification_hours: int = Field(24, ge=1, description="Life of the token in a verification mail.")
    identity_key_rotation_days: int = Field(30, ge=2, description="How long a signing key signs.")
    identity_key_publish_ahead_hours: int = Field(
        24, ge=0, description="A new key is in the JWKS this long before use."
    )

    @field_validator("identity_key_encryption_key", "mail_sealing_key")
    @classmethod
    def _holds_fernet_keys(cls, value: SecretStr) -> SecretStr:
        _fernet_keys(value.get_secret_value())
        return value

    @field_validator("identity_password_pepper")
    @classmethod
    def _holds_peppers(cls, value: SecretStr) -> SecretStr:
        _parsed_peppers(value.get_secret_value())
        return value

    @property
    def key_encryption_keys(self) -> list[str]:
        """Return the keys that encrypt signing keys, newest first."""
        return _fernet_keys(self.identity_key_encryption_key.get_secret_value())

    @property
    def password_peppers(self) -> dict[int, str]:
        """Return the peppers by version."""
        return _parsed_peppers(self.identity_password_pepper.get_secret_value())

    @property
    def access_token_life(self) -> timedelta:
        """Return the life of an access token; the gateway forgets a revocation after it."""
        return timedelta(seconds=self.identity_access_token_seconds)
