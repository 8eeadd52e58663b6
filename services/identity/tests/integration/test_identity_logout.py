from redis.asyncio import Redis


async def session_ids(records):
    return [row["id"] for row in await records.connection.fetch("SELECT id FROM identity.login_session ORDER BY id")]


async def test_signing_out_ends_the_session_and_the_gateway_knows_before_the_answer(
    api, records, person, redis_url, verify_audit
):
    answer = await api.post("/v1/auth/logout", headers=person.headers)

    assert (answer.status_code, answer.content) == (204, b"")
    [session_id] = await session_ids(records)
    async with Redis.from_url(redis_url) as redis:
        assert await redis.get(f"revoked:session:{session_id}") == b"1"
        assert 300 <= await redis.ttl(f"revoked:session:{session_id}") <= 330
    assert (await api.refresh(person.tokens["refresh_token"])).status_code == 401
    me = await api.get("/v1/users/me", headers=person.headers)
    assert (me.status_code, me.json()["code"]) == (401, "token_revoked")
    [row] = await records.audit("session.ended")
    assert (await verify_audit(row["stream"])).intact


async def test_signing_out_twice_is_fine_and_audited_once(api, records, person):
    await api.post("/v1/auth/logout", headers=person.headers)

    assert (await api.post("/v1/auth/logout", headers=person.headers)).status_code == 204
    assert len(await records.audit("session.ended")) == 1


async def test_the_session_of_a_given_refresh_token_ends_too(api, person):
    other = (await api.login()).json()
    third = (await api.login()).json()

    body = {"refresh_token": other["refresh_token"]}
    answer = await api.post_json("/v1/auth/logout", body, headers=person.headers)

    assert answer.status_code == 204
    assert (await api.refresh(other["refresh_token"])).status_code == 401
    assert (await api.refresh(person.tokens["refresh_token"])).status_code == 401
    assert (await api.refresh(third["refresh_token"])).status_code == 200


async def test_nobody_ends_the_session_of_somebody_else(api, person):
    eve = await api.a_person("eve@example.com", "Eve")

    body = {"refresh_token": person.tokens["refresh_token"]}
    assert (await api.post_json("/v1/auth/logout", body, headers=eve.headers)).status_code == 204

    assert (await api.refresh(person.tokens["refresh_token"])).status_code == 200
    assert (await api.refresh(eve.tokens["refresh_token"])).status_code == 401


async def test_without_redis_the_session_ends_and_the_answer_says_what_is_missing(
    api, open_api, records, person, redis_url
):
    lonely = await open_api(redis_url="redis://127.0.0.1:1/0")

    answer = await lonely.post("/v1/auth/logout", headers=person.headers)

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert (await api.refresh(person.tokens["refresh_token"])).status_code == 401
    # The client may ask again; the service asks by itself, too.
    assert (await api.post("/v1/auth/logout", headers=person.headers)).status_code == 204
    [session_id] = await session_ids(records)
    async with Redis.from_url(redis_url) as redis:
        assert await redis.exists(f"revoked:session:{session_id}")


async def test_what_the_gateway_needs_not_hear_any_more_is_let_go(api, open_api, records, person, clock, redis_url):
    lonely = await open_api(redis_url="redis://127.0.0.1:1/0")
    await lonely.post("/v1/auth/logout", headers=person.headers)

    clock.advance(minutes=10)
    await api.parts.revocations.publish_due()

    async with Redis.from_url(redis_url) as redis:
        assert await redis.dbsize() == 0
    assert not await records.connection.fetchval("SELECT bool_or(revocation_due) FROM identity.login_session")


async def test_signing_out_needs_a_token(api):
    missing = await api.post("/v1/auth/logout")
    wrong = await api.post("/v1/auth/logout", headers={"Authorization": "Bearer nonsense"})

    assert (missing.status_code, missing.json()["code"]) == (401, "unauthenticated")
    assert missing.headers["www-authenticate"] == 'Bearer realm="alta"'
    assert (wrong.status_code, wrong.json()["code"]) == (401, "token_invalid")
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]
