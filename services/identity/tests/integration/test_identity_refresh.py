import asyncio

import pytest
from redis.asyncio import Redis


async def test_a_refresh_token_is_traded_for_new_tokens_of_the_same_session(api, records, person, clock):
    clock.advance(minutes=4)

    answer = await api.refresh(person.tokens["refresh_token"])

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["refresh_token"] != person.tokens["refresh_token"]
    assert answer.json()["access_token"] != person.tokens["access_token"]
    assert await records.count("login_session") == 1
    me = await api.get("/v1/users/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
    assert me.status_code == 200


async def test_only_hashes_and_a_sealed_successor_are_stored(api, records, person):
    second = (await api.refresh(person.tokens["refresh_token"])).json()["refresh_token"]

    rows = await records.connection.fetch("SELECT * FROM identity.refresh_token")

    assert len(rows) == 2
    assert second not in str(rows)
    assert person.tokens["refresh_token"] not in str(rows)


async def test_a_token_used_again_at_once_gives_the_same_successor(api, person, clock):
    first = await api.refresh(person.tokens["refresh_token"])
    clock.advance(seconds=30)
    again = await api.refresh(person.tokens["refresh_token"])

    assert again.status_code == 200
    assert again.json()["refresh_token"] == first.json()["refresh_token"]
    assert again.json()["refresh_expires_in"] == first.json()["refresh_expires_in"] - 30
    assert (await api.refresh(again.json()["refresh_token"])).status_code == 200


async def test_refreshes_at_once_get_one_successor(api, records, person):
    answers = await asyncio.gather(*(api.refresh(person.tokens["refresh_token"]) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert await records.count("refresh_token") == 2


async def test_a_token_used_again_later_ends_the_session_and_the_owner_is_told(
    api, records, person, clock, redis_url, verify_audit
):
    second = (await api.refresh(person.tokens["refresh_token"])).json()
    clock.advance(seconds=31)

    reused = await api.refresh(person.tokens["refresh_token"])

    assert (reused.status_code, reused.json()["code"]) == (401, "invalid_refresh_token")
    assert (await api.refresh(second["refresh_token"])).status_code == 401
    assert [mail["template"] for mail in await records.mails(person.email)][-1] == "refresh_reuse_warning"
    [row] = await records.audit("session.refresh_reused")
    assert (await verify_audit(row["stream"])).intact
    session = await records.connection.fetchrow("SELECT * FROM identity.login_session")
    assert (session["end_reason"], session["revocation_due"]) == ("refresh_reused", False)
    async with Redis.from_url(redis_url) as redis:
        assert await redis.get(f"revoked:session:{session['id']}") == b"1"
    headers = {"Authorization": f"Bearer {second['access_token']}"}
    me = await api.get("/v1/users/me", headers=headers)
    assert (me.status_code, me.json()["code"]) == (401, "token_revoked")


async def test_reuse_of_a_dead_session_warns_once(api, records, person, clock):
    await api.refresh(person.tokens["refresh_token"])
    clock.advance(seconds=31)

    answers = await asyncio.gather(*(api.refresh(person.tokens["refresh_token"]) for _ in range(4)))

    assert {answer.status_code for answer in answers} == {401}
    assert [mail["template"] for mail in await records.mails(person.email)].count("refresh_reuse_warning") == 1


async def test_other_sessions_of_the_account_go_on(api, person, clock):
    other = (await api.login()).json()
    await api.refresh(person.tokens["refresh_token"])
    clock.advance(seconds=31)
    await api.refresh(person.tokens["refresh_token"])

    assert (await api.refresh(other["refresh_token"])).status_code == 200


@pytest.mark.parametrize(("days", "status"), [(13.99, 200), (14, 401)])
async def test_an_unused_token_lives_for_14_days(api, person, clock, days, status):
    clock.advance(days=days)

    assert (await api.refresh(person.tokens["refresh_token"])).status_code == status


async def test_a_session_lives_for_90_days_however_busy(api, person, clock):
    token = person.tokens["refresh_token"]
    for _ in range(8):
        clock.advance(days=11)
        answer = await api.refresh(token)
        assert answer.status_code == 200
        token = answer.json()["refresh_token"]

    assert answer.json()["refresh_expires_in"] == 2 * 86400
    clock.advance(days=2)
    assert (await api.refresh(token)).status_code == 401


async def test_an_access_token_does_not_outlive_its_session(api, person, clock):
    token = person.tokens["refresh_token"]
    for _ in range(9):
        clock.advance(days=9.999)
        token = (await api.refresh(token)).json()["refresh_token"]
    clock.advance(seconds=9 * 86.4 - 60)

    answer = await api.refresh(token)

    assert answer.json()["expires_in"] == 60


@pytest.mark.parametrize("token", ["unknown", "x" * 512, "ünknown"])
async def test_an_unknown_token_is_refused(api, token):
    answer = await api.refresh(token)

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")


async def test_a_disabled_account_stays_out(api, records, person):
    await records.connection.execute("UPDATE identity.account SET disabled_at = now()")

    assert (await api.refresh(person.tokens["refresh_token"])).status_code == 401
    assert (await api.get("/v1/users/me", headers=person.headers)).status_code == 401


async def test_a_reuse_while_redis_is_away_still_ends_the_session_and_the_gateway_hears_of_it_later(
    api, open_api, records, person, clock, redis_url
):
    lonely = await open_api(redis_url="redis://127.0.0.1:1/0")
    await lonely.refresh(person.tokens["refresh_token"])
    clock.advance(seconds=31)

    assert (await lonely.refresh(person.tokens["refresh_token"])).status_code == 401
    [session] = await records.connection.fetch("SELECT * FROM identity.login_session WHERE revocation_due")
    await api.parts.revocations.publish_due()

    async with Redis.from_url(redis_url) as redis:
        assert await redis.exists(f"revoked:session:{session['id']}")
    assert not await records.connection.fetchval("SELECT bool_or(revocation_due) FROM identity.login_session")
