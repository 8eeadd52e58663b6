"""Who is asking: what an access token says."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller. `scopes` limit what an API key's token may do; `role` is `user` or `admin`."""

    user_id: UUID
    session_id: UUID
    role: str
    scopes: frozenset[str]
    token_id: str

    @property
    def is_admin(self) -> bool:
        """Say whether the caller administers the platform."""
        return self.role == "admin"
