from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alta_common.errors import ConflictError
from alta_common.ids import new_id
from alta_identity.models.account import Account, Role
from alta_identity.models.email_address import EmailAddress
from alta_identity.models.errors import AlreadyVerifiedError, InvalidTokenError
from alta_identity.models.login_session import EndReason, LoginSession, RefreshToken
from alta_identity.models.one_time_token import OneTimeToken, TokenPurpose
from alta_identity.models.scopes import scopes_of

NOW = datetime(2026, 1, 31, 9, 26, tzinfo=UTC)
DAY = timedelta(days=1)
ADDRESS = EmailAddress("Ada@example.com", "ada@example.com")


def an_account():
    return Account.register(ADDRESS, full_name="Ada", password_hash="hash", now=NOW)


def a_session(life=90 * DAY):
    return LoginSession.start(new_id(), life=life, user_agent="x" * 500, client_address="::1", now=NOW)


def a_refresh_token(session, idle=14 * DAY, now=NOW):
    return RefreshToken.issue(session, token_hash=b"hash", idle=idle, now=now)


def a_one_time_token():
    return OneTimeToken.issue(new_id(), TokenPurpose.VERIFY_EMAIL, token_hash=b"hash", life=DAY, now=NOW)


def test_an_account_may_sign_in_once_its_address_is_proven_and_until_it_is_disabled():
    account = an_account()
    assert not account.may_sign_in

    account.verify(NOW + DAY)
    assert account.may_sign_in
    assert (account.verified_at, account.version) == (NOW + DAY, 2)

    account.disabled_at = NOW
    assert not account.may_sign_in


def test_a_proven_address_is_neither_proven_nor_registered_again():
    account = an_account()
    account.verify(NOW)

    with pytest.raises(AlreadyVerifiedError):
        account.verify(NOW)
    with pytest.raises(AlreadyVerifiedError):
        account.register_again(ADDRESS, full_name="Eve", password_hash="other", now=NOW)
    assert (account.full_name, account.password_hash) == ("Ada", "hash")


def test_a_stronger_hash_is_no_new_version_for_its_owner():
    account = an_account()

    account.strengthen_hash("stronger")

    assert (account.version, account.password_hash, account.password_changed_at) == (1, "stronger", NOW)


@pytest.mark.parametrize("attribute", ["used_at", "withdrawn_at"])
def test_a_mailed_token_is_spent_once(attribute):
    token = a_one_time_token()
    setattr(token, attribute, NOW)

    with pytest.raises(InvalidTokenError):
        token.use(NOW)


@given(st.timedeltas(min_value=timedelta(0), max_value=2 * DAY))
def test_a_mailed_token_works_until_it_expires(age):
    token = a_one_time_token()

    if age < DAY:
        token.use(NOW + age)
        assert token.used_at == NOW + age
    else:
        with pytest.raises(InvalidTokenError):
            token.use(NOW + age)


def test_a_session_ends_once_and_the_first_reason_stays():
    session = a_session()
    assert session.is_live(NOW)
    assert not session.revocation_due

    assert session.end(EndReason.SIGNED_OUT, NOW + DAY)
    assert not session.end(EndReason.REFRESH_REUSED, NOW + 2 * DAY)

    assert (session.end_reason, session.ended_at) == (EndReason.SIGNED_OUT, NOW + DAY)
    assert session.revocation_due
    assert not session.is_live(NOW + DAY)


def test_a_session_is_over_in_time_and_its_device_fits():
    session = a_session(life=DAY)

    assert not session.is_live(NOW + DAY)
    assert len(session.user_agent) == 256


@given(idle=st.timedeltas(timedelta(0), 200 * DAY), age=st.timedeltas(timedelta(0), 90 * DAY))
def test_a_refresh_token_never_outlives_its_session(idle, age):
    session = a_session()

    token = a_refresh_token(session, idle, NOW + age)

    assert token.expires_at <= session.expires_at
    assert token.is_expired(token.expires_at)


def test_a_refresh_token_is_replaced_once():
    session = a_session()
    token, successor = a_refresh_token(session), a_refresh_token(session)

    token.replace(successor, "sealed", NOW)

    with pytest.raises(ConflictError):
        token.replace(a_refresh_token(session), "other", NOW)
    assert token.successor_sealed == "sealed"


@given(st.timedeltas(timedelta(0), timedelta(minutes=2)))
def test_grace_is_for_spent_tokens_and_for_a_while(age):
    session = a_session()
    token = a_refresh_token(session)
    assert not token.is_within_grace(timedelta(seconds=30), NOW + age)

    token.replace(a_refresh_token(session), "sealed", NOW)

    assert token.is_within_grace(timedelta(seconds=30), NOW + age) == (age <= timedelta(seconds=30))


def test_administrators_may_do_what_users_may_and_more():
    assert set(scopes_of(Role.USER)) < set(scopes_of(Role.ADMIN))
