import unicodedata
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from alta_common.clock import to_rfc3339
from alta_common.http.app import ApiModel
from alta_identity.application.sessions import TokenPair
from alta_identity.models.account import Account

# Characters that end a line or turn the direction of text: in a mail they could pass for something else.
_REFUSED = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def _plain_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name)
    if any(unicodedata.category(letter) in _REFUSED or letter in _TURNING for letter in name):
        raise ValueError("a name has no control characters")
    if "://" in name or "www." in name.casefold():
        raise ValueError("a name is not a link")
    return name


def _stored_text(text: str) -> str:
    if "\0" in text:
        raise ValueError("there is a NUL character in it")
    return text


Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=320),
    AfterValidator(_stored_text),
    Field(description="An address that mail can be sent to.", examples=["ada@example.com"]),
]
FullName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_plain_name),
    Field(description="How the person is called.", examples=["Ada Lovelace"]),
]
# Longer than any password can be: what is too long is refused with the other reasons, what is absurd here.
NewPassword = Annotated[
    SecretStr,
    Field(
        min_length=1,
        max_length=1024,
        description="12 to 128 characters, not common, not made of your name or address, hard to guess (zxcvbn ≥ 3).",
        examples=["violet-kettle-orbit-93"],
    ),
]
Password = Annotated[SecretStr, Field(max_length=1024, examples=["violet-kettle-orbit-93"])]
OpaqueToken = Annotated[str, Field(min_length=1, max_length=512)]


class RegisterIn(ApiModel):
    """A person who wants an account."""

    email: Email
    password: NewPassword
    full_name: FullName


class ResendVerificationIn(ApiModel):
    """An address whose verification mail did not arrive."""

    email: Email


class VerificationOut(BaseModel):
    """The same for every address."""

    status: str = Field("verification_sent", description="A mail is on its way, if one is due.")


class VerifyEmailIn(ApiModel):
    """The token of a verification mail."""

    token: OpaqueToken


class LoginIn(ApiModel):
    """What a person signs in with."""

    email: Annotated[str, StringConstraints(max_length=320), Field(examples=["ada@example.com"])]
    password: Password
    totp_code: Annotated[
        str | None, Field(max_length=32, description="Code of the second factor, where the account has one.")
    ] = None


class RefreshIn(ApiModel):
    """The refresh token that is traded in; it works once."""

    refresh_token: OpaqueToken


class LogoutIn(ApiModel):
    """May be left out: the access token says which session ends."""

    refresh_token: Annotated[OpaqueToken | None, Field(description="Ends the session of this token too.")] = None


class TokensOut(BaseModel):
    """Tokens of a session (names as in RFC 6749, section 5.1)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "access_token": "eyJhbGciOiJFUzI1NiIs…",
                    "token_type": "Bearer",
                    "expires_in": 297,
                    "refresh_token": "pT3vR0xk…",
                    "refresh_expires_in": 1209600,
                }
            ]
        }
    )

    access_token: str = Field(description="JWT (RFC 9068), sent as `Authorization: Bearer`.")
    token_type: str = Field("Bearer", description="How the access token is sent (RFC 6750).")
    expires_in: int = Field(description="Seconds that the access token lives.")
    refresh_token: str = Field(description="Opaque; trade it in at /v1/auth/refresh before it expires.")
    refresh_expires_in: int = Field(description="Seconds that the refresh token lives.")

    @classmethod
    def of(cls, pair: TokenPair) -> Self:
        """Return what a client sees of a pair."""
        return cls(
            access_token=pair.access_token,
            expires_in=pair.expires_in,
            refresh_token=pair.refresh_token,
            refresh_expires_in=pair.refresh_expires_in,
        )


class UserOut(BaseModel):
    """The caller's own profile."""

    id: UUID
    email: str
    full_name: str
    role: str = Field(description="`user` or `admin` of the platform.")
    email_verified: bool
    created_at: str = Field(json_schema_extra={"format": "date-time"}, examples=["2026-01-31T09:26:53.589Z"])
    updated_at: str = Field(json_schema_extra={"format": "date-time"}, examples=["2026-01-31T09:26:53.589Z"])

    @classmethod
    def of(cls, account: Account) -> Self:
        """Return what its owner sees of an account."""
        return cls(
            id=account.id,
            email=account.email,
            full_name=account.full_name,
            role=account.role.value,
            email_verified=account.is_verified,
            created_at=to_rfc3339(account.created_at),
            updated_at=to_rfc3339(account.updated_at),
        )


class UserChangeIn(ApiModel):
    """What a person may change of the own profile."""

    full_name: FullName


class JwksOut(BaseModel):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, Any]] = Field(
        examples=[[{"kty": "EC", "crv": "P-256", "x": "…", "y": "…", "kid": "…", "use": "sig", "alg": "ES256"}]]
    )


class AuthorizationServerOut(BaseModel):
    """Authorization server metadata (RFC 8414)."""

    issuer: str
    jwks_uri: str
    response_types_supported: list[str]
    grant_types_supported: list[str]
    service_documentation: str
