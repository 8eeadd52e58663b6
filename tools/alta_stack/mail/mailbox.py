"""The mails that were caught, newest first, and how they are searched."""

import email.message
import email.policy
import email.utils
import html
import re
import secrets
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser

Address = dict[str, str]


@dataclass
class Mail:
    """One caught mail, parsed."""

    id: str
    raw: bytes
    envelope_from: str
    parsed: email.message.EmailMessage
    created: datetime
    text: str
    html: str
    bcc: list[Address]
    read: bool = False
    attachments: list[email.message.EmailMessage] = field(default_factory=list)

    def addresses(self, header: str) -> list[Address]:
        """Return the addresses of a header."""
        values = [str(value) for value in self.parsed.get_all(header, [])]
        return [{"Name": name, "Address": address} for name, address in email.utils.getaddresses(values)]

    @property
    def sender(self) -> Address:
        """Who wrote it."""
        return next(iter(self.addresses("From")), {"Name": "", "Address": self.envelope_from})

    @property
    def subject(self) -> str:
        """Its subject line."""
        return str(self.parsed.get("Subject", ""))

    @property
    def message_id(self) -> str:
        """Its Message-ID without angle brackets."""
        return str(self.parsed.get("Message-ID", "")).strip().strip("<>")

    @property
    def snippet(self) -> str:
        """The beginning of its text on one line."""
        return re.sub(r"\s+", " ", self.text).strip()[:250]


def new_mail(raw: bytes, envelope_from: str, recipients: list[str], at: datetime) -> Mail:
    """Parse a mail as it came over SMTP. Recipients that no header names were blind copies."""
    parsed = BytesParser(email.message.EmailMessage, policy=email.policy.default).parsebytes(raw)
    text, page = _body(parsed, "plain"), _body(parsed, "html")
    mail = Mail(
        id=secrets.token_hex(11),
        raw=raw,
        envelope_from=envelope_from,
        parsed=parsed,
        created=at.astimezone(UTC),
        text=text or _text_of(page),
        html=page,
        bcc=[],
        attachments=list(parsed.iter_attachments()) if parsed.is_multipart() else [],
    )
    named = {a["Address"].lower() for header in ("To", "Cc") for a in mail.addresses(header)}
    mail.bcc = [{"Name": "", "Address": to} for to in recipients if to.lower() not in named]
    return mail


def _body(parsed: email.message.EmailMessage, kind: str) -> str:
    part = parsed.get_body(preferencelist=(kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except (LookupError, UnicodeDecodeError):  # an unknown or wrong charset
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


def _text_of(page: str) -> str:
    without_blocks = re.sub(r"(?is)<(script|style|head)\b.*?</\1>", " ", page)
    return html.unescape(re.sub(r"<[^>]+>", " ", without_blocks)).strip()


class Mailbox:
    """Keeps the newest mails in memory, as Mailpit does by default."""

    def __init__(self, capacity: int = 5000) -> None:
        self._capacity = capacity
        self._mails: dict[str, Mail] = {}

    def add(self, mail: Mail) -> None:
        """Take a mail in; the oldest goes when the box is full."""
        self._mails[mail.id] = mail
        while len(self._mails) > self._capacity:
            del self._mails[next(iter(self._mails))]

    def newest_first(self) -> list[Mail]:
        """Return all mails, newest first."""
        return list(reversed(self._mails.values()))

    def find(self, mail_id: str) -> Mail | None:
        """Return one mail, or the newest for `latest`."""
        if mail_id == "latest":
            return next(reversed(self._mails.values()), None)
        return self._mails.get(mail_id)

    def search(self, query: str) -> list[Mail]:
        """Return the mails that match every term of a query, newest first.

        Terms as in Mailpit: `to:`, `from:`, `cc:`, `bcc:`, `addressed:`, `subject:`, `message-id:`, `is:read`,
        `is:unread`, else a word of the mail; `-` or `!` before a term negates it, quotes hold words together.
        """
        terms = [_term(word) for word in _words(query)]
        return [mail for mail in self.newest_first() if all(matches(mail) for matches in terms)]

    def delete(self, ids: list[str]) -> None:
        """Delete mails by their ids."""
        for mail_id in ids:
            self._mails.pop(mail_id, None)

    def clear(self) -> None:
        """Delete all mails."""
        self._mails.clear()


def _words(query: str) -> list[str]:
    try:
        return shlex.split(query)
    except ValueError:  # an open quote
        return query.split()


def _term(word: str) -> Callable[[Mail], bool]:
    if word[:1] in {"-", "!"} and len(word) > 1:
        positive = _term(word[1:])
        return lambda mail: not positive(mail)
    key, _, value = word.lower().partition(":")
    if value and key in _FIELDS:
        field_of = _FIELDS[key]
        return lambda mail: value in field_of(mail).lower()
    if value and key == "is":
        return lambda mail: mail.read == (value == "read")
    return lambda mail: word.lower() in f"{mail.subject} {mail.text} {_all(mail)}".lower()


def _joined(addresses: list[Address]) -> str:
    return " ".join(f"{a['Name']} {a['Address']}" for a in addresses)


def _all(mail: Mail) -> str:
    return _joined([mail.sender, *mail.addresses("To"), *mail.addresses("Cc"), *mail.bcc])


_FIELDS: dict[str, Callable[[Mail], str]] = {
    "to": lambda mail: _joined(mail.addresses("To")),
    "from": lambda mail: _joined([mail.sender]),
    "cc": lambda mail: _joined(mail.addresses("Cc")),
    "bcc": lambda mail: _joined(mail.bcc),
    "addressed": _all,
    "subject": lambda mail: mail.subject,
    "message-id": lambda mail: mail.message_id,
}
