"""The request to send a mail, which several services publish."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from alta_common.contracts.event import Event


class EmailRequested(Event):
    """A mail is to be sent, once. `sealed` holds what of its values is secret (`alta_common.sealing`)."""

    TYPE: ClassVar[str] = "EMAIL_SEND_REQUESTED"
    AGGREGATE: ClassVar[str] = "email"

    email_id: UUID
    template: str = Field(description="Name of the template: verify_email, already_registered, project_invitation…")
    to: str
    values: dict[str, str] = Field(default_factory=dict, description="What the template shows; nothing secret.")
    sealed: str | None = Field(default=None, description="Sealed further values, opened just before sending.")

    @property
    def aggregate_id(self) -> UUID:
        """Return the mail's id: mails have no order among each other."""
        return self.email_id
