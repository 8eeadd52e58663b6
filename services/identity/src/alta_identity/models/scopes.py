"""What an access token may do. A person's token has all of them; an API key's will have some."""

from alta_identity.models.account import Role

USER_SCOPES = ("profile:read", "profile:write", "projects:read", "projects:write")
ADMIN_SCOPES = ("admin:read", "admin:write")


def scopes_of(role: Role) -> tuple[str, ...]:
    """Return the scopes of a person's own tokens."""
    return USER_SCOPES + ADMIN_SCOPES if role is Role.ADMIN else USER_SCOPES
