"""The SMTP side: every mail is taken, whoever sends it to whomever."""

from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from alta_common.clock import utc_now
from alta_stack.mail.mailbox import Mailbox, new_mail


class _Catcher:
    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Keep one mail."""
        content = envelope.content or b""
        raw = content if isinstance(content, bytes) else content.encode()
        mail = new_mail(raw, envelope.mail_from or "", list(envelope.rcpt_tos), utc_now())
        self._mailbox.add(mail)
        return f"250 2.0.0 Ok: caught as {mail.id}"


def _anybody(*_: Any) -> AuthResult:
    return AuthResult(success=True)


def new_protocol(mailbox: Mailbox) -> SMTP:
    """Return the protocol of one connection. Any user and password are right, and none are needed."""
    return SMTP(
        _Catcher(mailbox),
        hostname="alta-mail",
        enable_SMTPUTF8=True,
        authenticator=_anybody,
        auth_require_tls=False,
    )
