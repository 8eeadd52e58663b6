from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet, InvalidToken
from hypothesis import given, settings
from hypothesis import strategies as st

from alta_common.errors import UnavailableError
from alta_common.http.principal import TokenExpiredError, TokenVerifier
from alta_common.ids import new_id
from alta_identity.models.account import Account
from alta_identity.models.email_address import EmailAddress
from alta_identity.models.login_session import LoginSession
from alta_identity.security.keys import KeyRing, KeySealedOtherwiseError, KeyVault
from alta_identity.security.opaque import digest, new_token, open_with, seal_with
from alta_identity.security.tokens import AccessTokens

NOW = datetime(2026, 1, 31, 9, 26, tzinfo=UTC)
LIFE = timedelta(seconds=300)


@pytest.fixture(scope="module")
def vault():
    return KeyVault([Fernet.generate_key().decode()])


def a_ring(vault, *active_from):
    ring = KeyRing()
    rows = [vault.new_key(active_from=moment, now=NOW) for moment in active_from]
    ring.hold([(row, vault.open(row)) for row in rows])
    return ring, [row.kid for row in rows]


def an_account():
    return Account.register(EmailAddress("a@example.com", "a@example.com"), full_name="A", password_hash="", now=NOW)


def a_session(account, life=timedelta(days=90)):
    return LoginSession.start(account.id, life=life, user_agent=None, client_address=None, now=NOW)


def test_tokens_are_256_bits_and_never_the_same():
    tokens = {new_token() for _ in range(1000)}

    assert len(tokens) == 1000
    assert {len(token) for token in tokens} == {43}


@given(token=st.text(min_size=1), secret=st.text(), other=st.text(min_size=1))
@settings(max_examples=50)
def test_what_is_sealed_with_a_token_opens_with_that_token_only(token, secret, other):
    sealed = seal_with(token, secret)

    assert open_with(token, sealed) == secret
    if other != token:
        with pytest.raises(InvalidToken):
            open_with(other, sealed)


@given(st.text(), st.text())
def test_digests_tell_tokens_apart(one, other):
    assert (digest(one) == digest(other)) == (one == other)


async def test_every_verifier_takes_the_access_tokens(vault):
    ring, [kid] = a_ring(vault, NOW)
    account = an_account()
    session = a_session(account)
    tokens = AccessTokens(ring, issuer="alta-identity", audience="alta", life=LIFE)
    now = [NOW.timestamp()]

    issued = tokens.issue(account, session, NOW)
    verifier = TokenVerifier(ring, "alta-identity", "alta", now=lambda: now[0])
    principal = await verifier.verify(issued.token)

    assert (principal.user_id, principal.session_id, principal.role) == (account.id, session.id, "user")
    assert "projects:read" in principal.scopes
    now[0] += issued.expires_in + 6
    with pytest.raises(TokenExpiredError):
        await verifier.verify(issued.token)
    assert kid in str(ring.jwks())


def test_lives_differ_by_five_percent_at_most(vault):
    ring, _ = a_ring(vault, NOW)
    account = an_account()
    session = a_session(account)
    tokens = AccessTokens(ring, issuer="i", audience="a", life=LIFE)

    lives = {tokens.issue(account, session, NOW).expires_in for _ in range(200)}

    assert min(lives) >= 285
    assert max(lives) <= 300
    assert len(lives) > 5


def test_an_access_token_ends_with_its_session(vault):
    ring, _ = a_ring(vault, NOW)
    account = an_account()
    tokens = AccessTokens(ring, issuer="i", audience="a", life=LIFE)

    issued = tokens.issue(account, a_session(account, timedelta(seconds=40)), NOW)

    assert issued.expires_in == 40


def test_the_newest_key_whose_time_has_come_signs(vault):
    ring, [first, second, coming] = a_ring(vault, NOW - timedelta(days=60), NOW, NOW + timedelta(days=1))

    assert ring.signer(NOW)["kid"] == second
    assert ring.signer(NOW - timedelta(days=1))["kid"] == first
    assert [key["kid"] for key in ring.jwks()["keys"]] == [coming, second, first]
    assert not any("d" in key for key in ring.jwks()["keys"])


def test_without_a_key_nothing_is_signed():
    with pytest.raises(UnavailableError):
        KeyRing().signer(NOW)


def test_a_private_key_opens_with_the_key_that_sealed_it_only(vault):
    row = vault.new_key(active_from=NOW, now=NOW)

    assert vault.open(row).is_private
    with pytest.raises(KeySealedOtherwiseError, match=row.kid):
        KeyVault([Fernet.generate_key().decode()]).open(row)


@pytest.mark.parametrize("keys", [[], ["malformed"]])
def test_malformed_encryption_keys_are_refused(keys):
    with pytest.raises(ValueError):
        KeyVault(keys)


def test_ids_of_keys_say_nothing_of_them(vault):
    row = vault.new_key(active_from=NOW, now=NOW)

    assert len(row.kid) == len(new_id().hex)
