import asyncio

import pytest


async def verify(api, token):
    return await api.post_json("/v1/auth/verify-email", {"token": token})


async def test_the_mailed_token_opens_the_account_and_the_user_counts_as_registered(api, records):
    await api.register()
    assert await records.events("USER_REGISTERED") == []

    answer = await verify(api, await records.last_token("ada@example.com"))

    assert (answer.status_code, answer.content) == (204, b"")
    [event] = await records.events("USER_REGISTERED")
    account_id = await records.connection.fetchval("SELECT id FROM identity.account")
    assert event["data"] == {"user_id": str(account_id), "email": "ada@example.com", "full_name": "Ada Lovelace"}
    assert event["correlationid"] == answer.headers["x-request-id"]
    [row] = await records.audit("account.verified")
    assert (row["actor_id"], row["stream"]) == (account_id, account_id)
    assert (await api.login()).status_code == 200


async def test_a_token_works_once(api, records):
    await api.register()
    token = await records.last_token("ada@example.com")

    answers = await asyncio.gather(*(verify(api, token) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [204, 422, 422, 422, 422]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 422} == {"invalid_token"}
    assert len(await records.events("USER_REGISTERED")) == 1


@pytest.mark.parametrize(("hours", "status"), [(23.99, 204), (24, 422)])
async def test_a_token_lives_for_24_hours(api, records, clock, hours, status):
    await api.register()

    clock.advance(hours=hours)

    assert (await verify(api, await records.last_token("ada@example.com"))).status_code == status


@pytest.mark.parametrize("token", ["unknown", "x" * 512, "ünknown", "\x00", "' OR 1=1 --"])
async def test_a_token_that_is_not_ours_is_refused(api, token):
    answer = await verify(api, token)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_token")


async def test_tokens_are_stored_as_hashes_only(api, records):
    await api.register()

    token = await records.last_token("ada@example.com")
    rows = await records.connection.fetch("SELECT token_hash FROM identity.one_time_token")

    assert len(token) == 43
    assert [len(row["token_hash"]) for row in rows] == [32]
    assert token.encode() not in rows[0]["token_hash"]


async def test_resending_sends_a_new_token_and_withdraws_the_old_one(api, records):
    await api.register()
    first = await records.last_token("ada@example.com")

    answer = await api.post_json("/v1/auth/resend-verification", {"email": "ada@example.com"})
    second = await records.last_token("ada@example.com")

    assert (answer.status_code, answer.json()) == (202, {"status": "verification_sent"})
    assert first != second
    assert (await verify(api, first)).status_code == 422
    assert (await verify(api, second)).status_code == 204


async def test_resending_looks_the_same_for_unknown_and_proven_addresses_and_sends_nothing(api, records, person):
    before = len(await records.events())

    known = await api.post_json("/v1/auth/resend-verification", {"email": person.email})
    unknown = await api.post_json("/v1/auth/resend-verification", {"email": "nobody@example.com"})

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, known.content)
    assert len(await records.events()) == before


async def test_resending_to_what_is_no_address_is_refused(api):
    answer = await api.post_json("/v1/auth/resend-verification", {"email": "nobody"})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/email")
