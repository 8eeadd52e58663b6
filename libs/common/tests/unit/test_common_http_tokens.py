import asyncio
import base64
import json
import time
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey

from alta_common.errors import UnavailableError
from alta_common.http.jwks import StaticJwks
from alta_common.http.tokens import TokenExpiredError, TokenInvalidError, TokenVerifier
from alta_common.ids import new_id
from alta_common.testing.tokens import TokenMaker

USER = new_id()
# A constant: a time of its own for each worker would give tests other names there.
LONG_FROM_NOW = 4_102_444_800  # 2100


class CountingJwks:
    """A source that counts how often it is asked, and can be away."""

    def __init__(self, *makers: TokenMaker) -> None:
        self.makers = list(makers)
        self.asked = 0
        self.away = False

    async def load(self) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise UnavailableError("identity is away")
        return {"keys": [key for maker in self.makers for key in maker.jwks["keys"]]}


@pytest.fixture(scope="module")
def maker() -> TokenMaker:
    return TokenMaker()


@pytest.fixture
def verifier(maker: TokenMaker) -> TokenVerifier:
    return maker.verifier()


def signed(maker: TokenMaker, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token with another header than identity's."""
    ours = maker.token(USER, **claims)
    payload = base64.urlsafe_b64decode(ours.split(".")[1] + "==")
    said = {"alg": "ES256", "typ": "at+jwt", "kid": maker.key.kid, **(header or {})}
    registry = jws.JWSRegistry(strict_check_header=False)
    return jws.serialize_compact(said, payload, maker.key, registry=registry)


async def test_a_token_names_its_caller(maker: TokenMaker, verifier: TokenVerifier) -> None:
    session = new_id()
    token = maker.token(USER, session, role="admin", scopes=["projects:read", "documents:write"], jti="t1")

    principal = await verifier.verify(token)

    assert (principal.user_id, principal.session_id, principal.role) == (USER, session, "admin")
    assert principal.scopes == {"projects:read", "documents:write"}
    assert principal.token_id == "t1"
    assert principal.is_admin


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "somebody"},
        {"aud": "something"},
        {"aud": ["a", "b"]},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"nbf": LONG_FROM_NOW},
        {"iat": LONG_FROM_NOW},
        {"sub": None},
        {"sub": "me"},
        {"sid": None},
        {"sid": 7},
        {"role": None, "scope": 7},
        {"jti": ""},
    ],
    ids=str,
)
async def test_claims_that_are_not_right_are_refused(
    maker: TokenMaker, verifier: TokenVerifier, claims: dict[str, Any]
) -> None:
    with pytest.raises(TokenInvalidError):
        await verifier.verify(maker.token(USER, **claims))


async def test_one_of_several_audiences_is_enough(maker: TokenMaker, verifier: TokenVerifier) -> None:
    assert (await verifier.verify(maker.token(USER, aud=["other", "alta"]))).user_id == USER


async def test_an_expired_token_says_so(maker: TokenMaker, verifier: TokenVerifier) -> None:
    with pytest.raises(TokenExpiredError):
        await verifier.verify(maker.token(USER, expires_in=-60))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"kid": None},
        {"kid": 7},
        {"kid": "another"},
        {"crit": ["exp"], "exp": 1},
        {"zip": "DEF"},
    ],
    ids=str,
)
async def test_headers_that_are_not_ours_are_refused(
    maker: TokenMaker, verifier: TokenVerifier, header: dict[str, Any]
) -> None:
    token = signed(maker)
    raw = base64.urlsafe_b64encode(
        json.dumps({"alg": "ES256", "typ": "at+jwt", "kid": maker.key.kid} | header).encode()
    )

    with pytest.raises(TokenInvalidError):
        await verifier.verify(".".join([raw.rstrip(b"=").decode(), *token.split(".")[1:]]))


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk"])
async def test_a_key_that_the_token_brings_is_not_looked_at(
    maker: TokenMaker, verifier: TokenVerifier, name: str
) -> None:
    stranger = TokenMaker(kid=maker.key.kid)
    value: Any = stranger.jwks["keys"][0] if name == "jwk" else "https://evil.example/jwks.json"

    with pytest.raises(TokenInvalidError):
        await verifier.verify(signed(stranger, {name: value}))
    assert (await verifier.verify(signed(maker, {name: value}))).user_id == USER


async def test_another_algorithm_is_refused(maker: TokenMaker, verifier: TokenVerifier) -> None:
    payload = maker.token(USER).split(".")[1]
    public = json.dumps(maker.jwks["keys"][0]).encode()
    forged = jws.serialize_compact(
        {"alg": "HS256", "typ": "at+jwt", "kid": maker.key.kid},
        base64.urlsafe_b64decode(payload + "=="),
        OctKey.import_key(public),
    )
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "at+jwt", "kid": maker.key.kid}).encode())

    for token in (forged, f"{none.rstrip(b'=').decode()}.{payload}.", f"{none.rstrip(b'=').decode()}.{payload}.AA"):
        with pytest.raises(TokenInvalidError):
            await verifier.verify(token)


async def test_a_changed_payload_is_refused(maker: TokenMaker, verifier: TokenVerifier) -> None:
    header, _, signature = maker.token(USER).split(".")
    payload = maker.token(new_id()).split(".")[1]

    with pytest.raises(TokenInvalidError):
        await verifier.verify(f"{header}.{payload}.{signature}")


async def test_a_token_has_one_spelling(maker: TokenMaker, verifier: TokenVerifier) -> None:
    token = maker.token(USER)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 64 bytes are 86 characters, the last of which has four bits that mean nothing.
    other_last = alphabet[alphabet.index(token[-1]) ^ 1]

    for spelling in (token[:-1] + other_last, token + "=", token + "==", " " + token, token + "\n"):
        with pytest.raises(TokenInvalidError):
            await verifier.verify(spelling)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b", "a.b.c.d", "ä.b.c", "e30.e30.", "W10.W10.AA", "A" * 5000])
async def test_what_is_no_token_is_refused(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(TokenInvalidError):
        await verifier.verify(token)


async def test_a_token_above_4_kib_is_refused(maker: TokenMaker, verifier: TokenVerifier) -> None:
    with pytest.raises(TokenInvalidError):
        await verifier.verify(maker.token(USER, scopes="x" * 4096))


async def test_a_remembered_token_still_expires(maker: TokenMaker) -> None:
    token = maker.token(USER, expires_in=60)
    clock = time.time()
    verifier = TokenVerifier(StaticJwks(maker.jwks), "alta-identity", "alta", now=lambda: clock)
    await verifier.verify(token)

    clock += 66

    with pytest.raises(TokenExpiredError):
        await verifier.verify(token)


async def test_a_new_key_is_fetched_when_it_is_first_met(maker: TokenMaker) -> None:
    source = CountingJwks(maker)
    verifier = TokenVerifier(source, "alta-identity", "alta", refetch_seconds=0)
    await verifier.verify(maker.token(USER))

    rotated = TokenMaker()
    source.makers.append(rotated)

    assert (await verifier.verify(rotated.token(USER))).user_id == USER
    assert source.asked == 2


async def test_invented_keys_do_not_make_us_ask_again_and_again(maker: TokenMaker) -> None:
    source = CountingJwks(maker)
    verifier = TokenVerifier(source, "alta-identity", "alta")
    await verifier.verify(maker.token(USER))

    for _ in range(10):
        with pytest.raises(TokenInvalidError):
            await verifier.verify(TokenMaker().token(USER))

    assert source.asked == 1


async def test_many_callers_fetch_the_keys_once(maker: TokenMaker) -> None:
    source = CountingJwks(maker)
    verifier = TokenVerifier(source, "alta-identity", "alta")

    await asyncio.gather(*(verifier.verify(maker.token(USER)) for _ in range(10)))

    assert source.asked == 1


async def test_a_withdrawn_key_takes_its_tokens_with_it(maker: TokenMaker) -> None:
    source = CountingJwks(maker)
    verifier = TokenVerifier(source, "alta-identity", "alta", keys_seconds=0, refetch_seconds=0)
    token = maker.token(USER)
    await verifier.verify(token)

    source.makers = [TokenMaker()]

    with pytest.raises(TokenInvalidError):
        await verifier.verify(token)


async def test_without_identity_known_keys_stay_good(maker: TokenMaker) -> None:
    source = CountingJwks(maker)
    verifier = TokenVerifier(source, "alta-identity", "alta", keys_seconds=0, refetch_seconds=0)
    await verifier.verify(maker.token(USER))

    source.away = True

    assert (await verifier.verify(maker.token(USER))).user_id == USER


async def test_without_any_keys_the_answer_is_unavailable(maker: TokenMaker) -> None:
    source = CountingJwks(maker)
    source.away = True
    verifier = TokenVerifier(source, "alta-identity", "alta")

    with pytest.raises(UnavailableError):
        await verifier.verify(maker.token(USER))


async def test_keys_for_something_else_are_left_out(maker: TokenMaker) -> None:
    good = maker.jwks["keys"][0]
    others = [
        {**good, "use": "enc"},
        {**good, "alg": "ES384"},
        {**good, "key_ops": ["sign"]},
        {**good, "crv": "P-521"},
        {**ECKey.generate_key("P-384").as_dict(private=False), "kid": maker.key.kid},
        {name: value for name, value in good.items() if name != "kid"},
        {**good, "x": "AA"},
        "not a key",
    ]
    verifier = TokenVerifier(StaticJwks({"keys": others}), "alta-identity", "alta")

    with pytest.raises(TokenInvalidError):
        await verifier.verify(maker.token(USER))
