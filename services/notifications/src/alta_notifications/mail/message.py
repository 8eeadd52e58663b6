"""A mail as bytes on the wire (RFC 5322)."""

from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from uuid import UUID

from alta_common.clock import utc_now
from alta_common.errors import InvalidError
from alta_notifications.mail.templates import Words

# A link stays on one line, and readable in the mail's source; 998 is what RFC 5322 allows.
_POLICY = SMTP.clone(max_line_length=998)


class InvalidAddressError(InvalidError):
    """Nobody can be written to at that address."""

    code = "invalid_address"


def address_of(text: str) -> Address:
    """Return a mail address (`name@host`). Raises `InvalidAddressError`."""
    # Whatever could end a header line is refused before anything else looks at it.
    if not text.isprintable() or any(character.isspace() for character in text):
        raise InvalidAddressError("the address has characters that no address has")
    name, at, domain = text.rpartition("@")
    try:
        # Hosts have an ASCII spelling (RFC 5890); names before the @ do not, and few servers take others.
        address = Address(addr_spec=f"{name}{at}{domain.encode('idna').decode()}" if not domain.isascii() else text)
    except (MessageError, ValueError, IndexError) as error:
        raise InvalidAddressError("this is not a mail address") from error
    if not address.username or not address.domain or not address.username.isascii():
        raise InvalidAddressError("this is not a mail address that mail servers take")
    return address


def message_id_of(event_id: UUID, sender: Address) -> str:
    """Return the Message-ID of an event's mail: always the same, so that a mail sent twice can be seen as one."""
    return f"<{event_id}@{sender.domain}>"


def new_message(event_id: UUID, sender: Address, to: str, words: Words) -> EmailMessage:
    """Return the mail of an event. Raises `InvalidAddressError`."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = address_of(to)
    message["Subject"] = words.subject
    message["Date"] = format_datetime(utc_now())
    message["Message-ID"] = message_id_of(event_id, sender)
    # RFC 3834: out-of-office programs do not answer this.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(words.text)
    message.add_alternative(words.html, subtype="html")
    return message
