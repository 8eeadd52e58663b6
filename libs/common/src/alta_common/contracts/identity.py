"""Events of identity."""

from typing import ClassVar
from uuid import UUID

from alta_common.contracts.email import EmailRequested
from alta_common.contracts.event import Event

EXCHANGE = "identity.events"


class UserRegistered(Event):
    """An account was registered and its address verified: from now on it can sign in."""

    TYPE: ClassVar[str] = "USER_REGISTERED"
    EXCHANGE: ClassVar[str] = EXCHANGE
    ROUTING_KEY: ClassVar[str] = "identity.user.registered.v1"
    AGGREGATE: ClassVar[str] = "user"

    user_id: UUID
    email: str
    full_name: str

    @property
    def aggregate_id(self) -> UUID:
        """Return the account's id."""
        return self.user_id


class IdentityEmailRequested(EmailRequested):
    """Identity wants a mail sent."""

    EXCHANGE: ClassVar[str] = EXCHANGE
    ROUTING_KEY: ClassVar[str] = "identity.email.requested.v1"
