"""What notifications reads from the environment."""

from email.headerregistry import Address
from email.utils import parseaddr
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator

from alta_common.settings import PostgresSettings, RabbitmqSettings, SealingSettings, ServiceSettings, Settings


class StartTls(StrEnum):
    """When a plain SMTP connection is turned into an encrypted one."""

    AUTO = "auto"
    REQUIRED = "required"
    NEVER = "never"


class SmtpSettings(Settings):
    """Where mails are handed over."""

    smtp_host: str = Field("localhost", description="SMTP server.")
    smtp_port: int = Field(1025, ge=1, le=65535, description="Port of the SMTP server.")
    smtp_username: str = Field("", description="User name for the SMTP server; empty: none.")
    smtp_password: SecretStr = Field(SecretStr(""), description="Password for the SMTP server.")
    smtp_starttls: StartTls = Field(
        StartTls.AUTO,
        description="STARTTLS: auto (when offered; always with a password), required or true, never or false.",
    )
    smtp_tls: bool = Field(False, description="TLS from the first byte (port 465) instead of STARTTLS.")
    smtp_ca_file: Path | None = Field(None, description="CA bundle for the server's certificate; empty: the system's.")
    smtp_timeout_seconds: float = Field(20.0, gt=0, le=25, description="How long handing one mail over may take.")
    smtp_from: str = Field("Alta Data <no-reply@localhost>", description="Sender of all mails.")

    @field_validator("smtp_starttls", mode="before")
    @classmethod
    def _read_booleans(cls, value: Any) -> Any:
        words = {"true": "required", "1": "required", "yes": "required", "false": "never", "0": "never", "no": "never"}
        return words.get(str(value).lower(), value)

    @field_validator("smtp_from")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        name, address = parseaddr(value)
        try:
            Address(name, addr_spec=address)
        except Exception as error:
            raise ValueError("must be an address, e.g. Alta Data <no-reply@example.org>") from error
        return value

    @property
    def sender(self) -> Address:
        """Return the sender's name and address."""
        name, address = parseaddr(self.smtp_from)
        return Address(name, addr_spec=address)


class NotificationsSettings(ServiceSettings, PostgresSettings, RabbitmqSettings, SealingSettings, SmtpSettings):
    """Settings of the consumer process."""

    public_url: str = Field("http://localhost:8000", description="Where users reach the product; links in mails.")
    email_prefetch: int = Field(8, ge=1, le=100, description="Mails handed over at the same time.")
    delivery_retention_days: int = Field(90, ge=1, description="How long it is remembered that a mail was sent.")


class MigrationSettings(PostgresSettings):
    """Settings of `python -m alta_notifications.migrate`."""

    migrations_dir: Path = Field(
        Path(__file__).resolve().parents[2] / "migrations", description="Folder with Alembic's env.py and versions."
    )
