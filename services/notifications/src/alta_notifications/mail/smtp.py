"""Handing mails over to an SMTP server."""

import asyncio
import time
from contextlib import suppress
from email.message import EmailMessage
from typing import Protocol

import aiosmtplib
from opentelemetry.trace import SpanKind

from alta_common.errors import AltaError, UnavailableError
from alta_common.telemetry.context import span
from alta_notifications.metrics import smtp_duration
from alta_notifications.settings import SmtpSettings, StartTls

_PERMANENT = 500
_QUIT_SECONDS = 1.0


class MailRefusedError(AltaError):
    """The server will not take this mail for this address, now or later."""

    code = "mail_refused"


class MailServerError(UnavailableError):
    """The server does not take the mail now."""

    code = "mail_server_unavailable"


class Mailer(Protocol):
    """Something that sends mails."""

    async def send(self, message: EmailMessage) -> None:
        """Hand a mail over. Raises `MailRefusedError` and `MailServerError`."""


class SmtpMailer:
    """Sends each mail over a connection of its own; mails are few, and servers close idle connections."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings

    async def send(self, message: EmailMessage) -> None:
        """Return when the server has taken responsibility for the mail (its 250 after the data, RFC 5321 6.1)."""
        settings = self._settings
        attributes: dict[str, str | int | float | bool] = {
            "server.address": settings.smtp_host,
            "server.port": settings.smtp_port,
        }
        started = time.perf_counter()
        with span("smtp send", kind=SpanKind.CLIENT, attributes=attributes):
            try:
                await self._hand_over(message)
            except aiosmtplib.SMTPRecipientsRefused as error:
                raise _refused(error.recipients[0]) from error
            except aiosmtplib.SMTPDataError as error:
                raise _refused(error) from error
            except aiosmtplib.SMTPNotSupported as error:
                raise MailRefusedError(f"the server cannot take this mail: {error.message}") from error
            except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
                raise MailServerError(f"{settings.smtp_host}:{settings.smtp_port}: {_text(error)}") from error
            finally:
                smtp_duration.observe(time.perf_counter() - started)

    async def _hand_over(self, message: EmailMessage) -> None:
        client = self._client()
        try:
            async with asyncio.timeout(self._settings.smtp_timeout_seconds):
                await client.connect()
                await client.send_message(message)
            # The server has the mail: nothing that goes wrong with the goodbye may send it again.
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=_QUIT_SECONDS)
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username or None,
            password=settings.smtp_password.get_secret_value() or None,
            timeout=settings.smtp_timeout_seconds,
            use_tls=settings.smtp_tls,
            start_tls=_start_tls(settings),
            cert_bundle=str(settings.smtp_ca_file) if settings.smtp_ca_file else None,
        )


def _start_tls(settings: SmtpSettings) -> bool | None:
    if settings.smtp_tls or settings.smtp_starttls is StartTls.NEVER:
        return False
    # A password must not go over an open wire because somebody on it hid the server's offer.
    if settings.smtp_starttls is StartTls.REQUIRED or settings.smtp_username:
        return True
    return None


def _refused(error: aiosmtplib.SMTPResponseException) -> AltaError:
    text = _text(error)
    return MailRefusedError(text) if error.code >= _PERMANENT else MailServerError(text)


def _text(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"
    return f"{type(error).__name__}: {error}"
