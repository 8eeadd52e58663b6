import asyncio
import time

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from prometheus_client import REGISTRY
from pydantic import SecretStr

from alta_common.testing import eventually

REFUSALS = ["unknown", "wrong_password", "unproven", "disabled", "malformed"]


async def attempt(api, records, kind):
    """Sign in the way that `kind` says."""
    if kind == "unproven":
        return await api.login("unproven@example.com")
    if kind == "disabled":
        await records.connection.execute("UPDATE identity.account SET disabled_at = now()")
    email = {"unknown": "nobody@example.com", "malformed": "no address"}.get(kind, "ada@example.com")
    return await api.login(email, "wrong" if kind == "wrong_password" else "violet-kettle-orbit-93")


async def test_signing_in_gives_tokens_that_the_published_keys_verify(api, person):
    keys = KeySet.import_key_set((await api.get("/.well-known/jwks.json")).json())

    token = jwt.decode(person.tokens["access_token"], keys, algorithms=["ES256"])

    assert set(person.tokens) == {"access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in"}
    assert person.tokens["token_type"] == "Bearer"
    assert person.tokens["refresh_expires_in"] == 14 * 86400
    assert token.header["typ"] == "at+jwt"
    assert set(token.claims) == {"iss", "aud", "exp", "nbf", "iat", "jti", "sub", "sid", "scope", "role"}
    assert (token.claims["iss"], token.claims["aud"], token.claims["role"]) == ("alta-identity", "alta", "user")
    assert token.claims["exp"] - token.claims["iat"] == person.tokens["expires_in"]
    assert 285 <= person.tokens["expires_in"] <= 300
    assert "projects:write" in token.claims["scope"].split()
    assert len(person.tokens["access_token"]) < 4096


async def test_tokens_do_not_all_live_equally_long(api, person):
    answers = [await api.login() for _ in range(12)]

    assert len({answer.json()["expires_in"] for answer in answers}) > 1


async def test_a_session_starts_with_device_and_audit_row(api, records, person, verify_audit):
    answer = await api.login(headers={"User-Agent": "curl/8", "X-Request-ID": "sign-in-1"})

    row = (await records.audit("session.started"))[-1]
    [*_, login] = await records.connection.fetch("SELECT * FROM identity.login_session ORDER BY id")
    assert answer.headers["cache-control"] == "no-store"
    assert (login["user_agent"], row["request_id"]) == ("curl/8", "sign-in-1")
    assert str(login["id"]) in row["details"]
    verification = await verify_audit(row["stream"])
    assert (verification.intact, verification.entries) == (True, 4)


@pytest.mark.parametrize("kind", REFUSALS)
async def test_every_kind_of_refusal_looks_the_same_and_is_audited(api, records, person, kind):
    await api.register("unproven@example.com")
    expected = await api.login("stranger@example.com")

    answer = await attempt(api, records, kind)

    assert answer.status_code == 401
    assert without_ids(answer.json()) == without_ids(expected.json())
    assert answer.json()["code"] == "invalid_credentials"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert set(answer.headers) == set(expected.headers)
    assert len(await records.audit("sign_in.refused")) == 2


async def test_what_strangers_tried_is_kept_without_their_address(api, records, verify_audit):
    await api.login("stranger@example.com")

    [row] = await records.audit("sign_in.refused")
    assert "stranger" not in row["details"]
    assert (row["subject_id"], row["actor_id"]) == (None, None)
    assert (await verify_audit(row["stream"])).intact


@pytest.mark.parametrize("kind", REFUSALS)
async def test_every_kind_of_refusal_costs_exactly_one_hash(api, records, person, kind):
    if kind == "unproven":
        await api.register("unproven@example.com")
    before = REGISTRY.get_sample_value("alta_identity_hash_seconds_count")

    await attempt(api, records, kind)

    assert REGISTRY.get_sample_value("alta_identity_hash_seconds_count") == before + 1


async def test_answers_that_must_not_tell_addresses_apart_share_a_floor(open_api):
    api = await open_api(identity_even_answer_ms=200)
    await api.register()
    calls = [
        lambda: api.register("ada@example.com"),
        lambda: api.register("new@example.com"),
        lambda: api.post_json("/v1/auth/resend-verification", {"email": "ada@example.com"}),
        lambda: api.post_json("/v1/auth/resend-verification", {"email": "nobody@example.com"}),
        lambda: api.login("ada@example.com"),
        lambda: api.login("nobody@example.com"),
    ]

    for call in calls:
        begun = time.perf_counter()
        await call()
        assert time.perf_counter() - begun >= 0.2


async def test_a_second_factor_code_is_taken_and_other_fields_are_not(api, person):
    body = {"email": person.email, "password": person.password}

    assert (await api.post_json("/v1/auth/login", body | {"totp_code": "123456"})).status_code == 200
    assert (await api.post_json("/v1/auth/login", body | {"remember": True})).status_code == 422
    assert (await api.post_json("/v1/auth/login", {"email": person.email})).status_code == 422


async def test_a_password_is_the_same_in_every_spelling_of_unicode(api, records):
    composed, compatible = "caf\u00e9 violet kettle orbit", "cafe\u0301 violet \uff4bettle orbit"
    await api.register(password=composed)
    await api.post_json("/v1/auth/verify-email", {"token": await records.last_token("ada@example.com")})

    assert (await api.login(password=compatible)).status_code == 200


async def test_old_parameters_and_peppers_are_replaced_at_the_next_sign_in(api, open_api, records, person):
    newer = await open_api(
        identity_password_pepper=SecretStr("2:another pepper for tests,1:a pepper that is only for tests"),
        identity_argon2_time_cost=2,
    )

    assert (await newer.login(password="wrong")).status_code == 401
    assert await stored_hash(records) == "p1$argon2id$v=19$m=64,t=1,p=1"
    assert (await newer.login()).status_code == 200
    assert await stored_hash(records) == "p2$argon2id$v=19$m=64,t=2,p=1"
    assert (await newer.login()).status_code == 200


async def test_sign_ins_at_once_each_get_a_session(api, records, person):
    answers = await asyncio.gather(*(api.login() for _ in range(10)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 10
    assert await records.count("login_session") == 11


async def test_an_account_whose_password_changes_meanwhile_gets_no_session(api, records, person):
    transaction = records.connection.transaction()
    await transaction.start()
    await records.connection.execute("UPDATE identity.account SET password_hash = 'p1$changed'")
    waiting = asyncio.create_task(api.login())
    await eventually(lambda: records.connection.fetchval("SELECT bool_or(NOT granted) FROM pg_locks"))
    await transaction.commit()

    assert (await waiting).status_code == 401
    assert await records.count("login_session") == 1


async def stored_hash(records):
    stored = await records.connection.fetchval("SELECT password_hash FROM identity.account")
    return "$".join(stored.split("$")[:4])


def without_ids(body):
    return {name: value for name, value in body.items() if name not in {"request_id", "trace_id"}}
