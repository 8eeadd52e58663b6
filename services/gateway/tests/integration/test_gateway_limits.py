import asyncio
import re

import pytest
from redis.asyncio import Redis

from alta_common.ids import new_id
from alta_common.testing import eventually


def limit_of(answer, policy):
    found = re.search(rf'"{policy}";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    return int(found[1]), int(found[2])


async def test_limited_answers_say_how_the_caller_stands(make_edge, signed_in):
    # One a minute, so that nothing comes back while the test runs.
    edge = await make_edge(limit_user="60/3600/50")

    read = await edge.http.get("/v1/projects", headers=signed_in)
    written = await edge.http.post("/v1/projects", headers=signed_in, json={})
    searched = await edge.http.get("/v1/search?q=x", headers=signed_in)

    assert read.headers["ratelimit-policy"] == '"user";q=60;w=3600'
    assert limit_of(read, "user") == (49, 60)
    assert limit_of(written, "user")[0] == 47
    assert limit_of(searched, "user")[0] == 44


async def test_over_the_limit_is_429_with_the_time_to_wait(make_edge, service, signed_in):
    edge = await make_edge(limit_user="60/3600/3")

    answers = [await edge.http.get("/v1/projects", headers=signed_in) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[3].headers["retry-after"]) <= 60
    assert answers[3].headers["content-type"] == "application/problem+json"
    assert answers[3].json()["code"] == "rate_limited"
    assert limit_of(answers[3], "user")[0] == 0
    assert len(service.seen) == 3


async def test_a_place_comes_free_again(make_edge, signed_in):
    edge = await make_edge(limit_user="1/3/1")

    async def fits():
        return (await edge.http.get("/v1/projects", headers=signed_in)).status_code == 200

    async def is_full():
        return not await fits()

    assert await fits()
    # At once, unless the machine took the three seconds for itself.
    await eventually(is_full)
    await eventually(fits)


async def test_users_do_not_share_a_limit(make_edge, tokens):
    edge = await make_edge(limit_user="60/3600/1")

    answers = [await edge.http.get("/v1/projects", headers=tokens.headers(new_id())) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {200}


async def test_a_batch_of_fifty_uploads_at_once_is_an_ordinary_thing(edge, service, signed_in):
    async def upload():
        return await edge.http.post("/v1/projects/1/documents", headers=signed_in, content=b"x")

    answers = await asyncio.gather(*(upload() for _ in range(50)))
    read = await edge.http.get("/v1/projects", headers=signed_in)

    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].headers["ratelimit-policy"] == '"upload";q=600;w=60'
    assert limit_of(read, "user")[0] == 49


async def test_strangers_share_the_limit_of_their_address(make_edge):
    edge = await make_edge(limit_anonymous="60/3600/2")

    answers = [await edge.http.post("/v1/auth/register", json={"n": n}) for n in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"anonymous";q=60;w=3600'


async def test_sign_ins_are_counted_for_the_account_however_it_is_spelled(make_edge, service):
    edge = await make_edge(limit_anonymous="600/60/100")

    def sign_in(email):
        return edge.http.post("/v1/auth/login", json={"email": email, "password": "x"})

    answers = [await sign_in(email) for email in ("ada@example.com", " ADA@Example.com") * 5]
    refused, other = await sign_in("ada@example.com"), await sign_in("eve@example.com")

    assert {answer.status_code for answer in answers} == {200}
    assert service.seen[0].body == b'{"email":"ada@example.com","password":"x"}'
    assert "login_total" not in answers[0].headers["ratelimit-policy"]
    assert {"login_account", "login_account_address", "login_address"} <= set(
        re.findall(r'"(\w+)"', answers[0].headers["ratelimit-policy"])
    )
    assert (refused.status_code, other.status_code) == (429, 200)
    assert 1 <= int(refused.headers["retry-after"]) <= 30


async def test_a_refused_request_costs_nothing_anywhere(make_edge, redis_url):
    # As many as by default, but none comes back while the test runs.
    edge = await make_edge(
        limit_anonymous="600/60/100",
        limit_login_account="10/36000/10",
        limit_login_account_address="10/36000/10",
        limit_login_address="30/36000/30",
    )

    for _ in range(30):
        await edge.http.post("/v1/auth/login", json={"email": "ada@example.com"})
    fresh = [await edge.http.post("/v1/auth/login", json={"email": f"{n}@example.com"}) for n in range(20)]

    assert {answer.status_code for answer in fresh} == {200}
    assert (await edge.http.post("/v1/auth/login", json={"email": "x@example.com"})).status_code == 429


async def test_other_ways_in_have_their_limits(edge):
    resent = [await edge.http.post("/v1/auth/resend-verification", json={"email": "a@b.c"}) for _ in range(4)]
    forgot = [await edge.http.post("/v1/auth/password/forgot", json={"email": "a@b.c"}) for _ in range(6)]
    oauth = [await edge.http.post("/v1/oauth/token", data={"username": "a@b.c", "password": "x"}) for _ in range(2)]

    assert [answer.status_code for answer in resent] == [200, 200, 200, 429]
    assert 7000 <= int(resent[3].headers["retry-after"]) <= 7200
    assert [answer.status_code for answer in forgot] == [200] * 5 + [429]
    assert limit_of(oauth[1], "login_account")[0] == 8


async def test_a_sign_in_body_that_cannot_be_read_is_the_service_s_to_refuse(edge, service):
    answer = await edge.http.post("/v1/auth/login", content=b"{", headers={"content-type": "application/json"})
    large = await edge.http.post("/v1/auth/login", json={"email": "a" * 70_000})

    assert answer.status_code == 200
    assert service.seen[0].body == b"{"
    assert large.status_code == 413


async def test_an_ended_session_stops_at_the_next_request(edge, tokens, user_id, redis_url):
    session_id = new_id()
    headers = tokens.headers(user_id, session_id=session_id)
    before = await edge.http.get("/v1/projects", headers=headers)
    redis = Redis.from_url(redis_url)

    await redis.set(f"revoked:session:{session_id}", "1", ex=300)
    after = await edge.http.get("/v1/projects", headers=headers)
    other = await edge.http.get("/v1/projects", headers=tokens.headers(user_id))
    await redis.aclose()

    assert (before.status_code, after.status_code, other.status_code) == (200, 401, 200)
    assert after.json()["code"] == "token_revoked"
    assert 'error="invalid_token"' in after.headers["www-authenticate"]


async def test_counts_survive_a_redis_that_forgot_the_script(make_edge, signed_in, redis_url):
    edge = await make_edge(limit_user="60/3600/50")
    await edge.http.get("/v1/projects", headers=signed_in)
    redis = Redis.from_url(redis_url)

    await redis.script_flush()
    await redis.aclose()

    assert limit_of(await edge.http.get("/v1/projects", headers=signed_in), "user")[0] == 48


@pytest.fixture
async def away():
    """A Redis that is not there, and one that takes connections and says nothing."""

    async def silent(reader, writer):
        try:
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    yield {
        "refusing": "redis://127.0.0.1:1",
        "silent": f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}",
    }
    server.close()


@pytest.mark.parametrize("kind", ["refusing", "silent"])
async def test_without_redis_ordinary_requests_go_on_within_limits(make_edge, signed_in, away, kind):
    edge = await make_edge(redis_url=away[kind], redis_timeout_seconds=0.05, limit_user="60/3600/5")

    answers = [await edge.http.get("/v1/projects", headers=signed_in) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[0].headers["ratelimit-policy"] == '"user";q=60;w=3600'


@pytest.mark.parametrize("kind", ["refusing", "silent"])
async def test_without_redis_guesses_are_not_taken(make_edge, service, signed_in, away, kind):
    edge = await make_edge(redis_url=away[kind], redis_timeout_seconds=0.05, redis_patient_timeout_seconds=0.1)

    answers = [
        await edge.http.post("/v1/auth/login", json={"email": "a@b.c"}),
        await edge.http.post("/v1/auth/password/forgot", json={"email": "a@b.c"}),
        await edge.http.post("/v1/auth/password/reset", json={"token": "x"}),
        await edge.http.post("/v1/users/me/mfa/totp/confirm", json={"code": "1"}, headers=signed_in),
        await edge.http.post("/v1/api-keys", json={}, headers=signed_in),
    ]
    register = await edge.http.post("/v1/auth/register", json={})

    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["retry-after"] for answer in answers} == {"2"}
    assert register.status_code == 200
    assert [seen.path for seen in service.seen] == ["/v1/auth/register"]


async def test_redis_is_asked_again_after_a_moment(make_edge, signed_in, redis_url):
    port = int(redis_url.rsplit(":", 1)[1].split("/")[0])
    is_up = asyncio.Event()

    async def door(reader, writer):
        if not is_up.is_set():
            writer.close()
            return
        inside = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(reader, inside[1]), _pump(inside[0], writer))

    server = await asyncio.start_server(door, "127.0.0.1", 0)
    through = redis_url.replace(f":{port}", f":{server.sockets[0].getsockname()[1]}")
    edge = await make_edge(redis_url=through, redis_retry_seconds=0.2)
    redis = Redis.from_url(redis_url)
    await edge.http.get("/v1/projects", headers=signed_in)
    assert await redis.keys("gcra:*") == []

    is_up.set()

    async def is_counted_there():
        await edge.http.get("/v1/projects", headers=signed_in)
        return bool(await redis.keys("gcra:user:*"))

    await eventually(is_counted_there)
    await redis.aclose()
    server.close()


async def _pump(reader, writer):
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


async def test_many_requests_at_once_wait_for_a_connection_to_redis(make_edge, signed_in):
    edge = await make_edge(redis_pool_size=2, limit_user="60/3600/40", connections_per_address=200)

    async def ask():
        return (await edge.http.get("/v1/projects", headers=signed_in)).status_code

    statuses = await asyncio.gather(*(ask() for _ in range(60)))

    assert (statuses.count(200), statuses.count(429)) == (40, 20)


async def test_one_factor_widens_all_limits_but_those_that_guard_an_account(make_edge, signed_in):
    edge = await make_edge(limits_factor=10)

    answer = await edge.http.get("/v1/projects", headers=signed_in)
    login = await edge.http.post("/v1/auth/login", json={"email": "ada@example.com"})

    assert answer.headers["ratelimit-policy"] == '"user";q=3000;w=60'
    assert limit_of(answer, "user")[0] == 499
    assert '"login_account";q=10;w=300' in login.headers["ratelimit-policy"]
    assert '"login_address";q=300;w=300' in login.headers["ratelimit-policy"]
