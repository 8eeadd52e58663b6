import asyncio
import socket

import pytest

from alta_common.testing import eventually


async def test_a_service_that_is_away_is_503(make_edge, signed_in):
    edge = await make_edge(projects_url="http://127.0.0.1:1")

    answer = await edge.http.post("/v1/projects", headers=signed_in, json={})

    assert (answer.status_code, answer.json()["code"]) == (503, "upstream_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_service_that_does_not_take_the_connection_is_503(make_edge, signed_in):
    # Its queue of one is full, so a connection is neither taken nor refused.
    listening = socket.create_server(("127.0.0.1", 0), backlog=0)
    filling = [socket.socket() for _ in range(4)]
    for one in filling:
        one.setblocking(False)
        one.connect_ex(listening.getsockname())
    edge = await make_edge(projects_url=f"http://127.0.0.1:{listening.getsockname()[1]}", upstream_connect_seconds=0.3)

    answer = await edge.http.post("/v1/projects", headers=signed_in, json={})

    assert (answer.status_code, answer.json()["code"]) == (503, "upstream_unavailable")
    for one in [*filling, listening]:
        one.close()


async def test_a_service_that_says_nothing_is_504(make_edge, service, signed_in):
    hasty = await make_edge(upstream_first_byte_seconds=0.3, upstream_long_first_byte_seconds=600)
    patient = await make_edge(upstream_first_byte_seconds=600, upstream_long_first_byte_seconds=0.3)

    async def silent(scope, receive, send):
        await service.note(scope, receive)
        while (await receive())["type"] != "http.disconnect":
            pass

    service.handlers |= dict.fromkeys(("/v1/projects", "/v1/documents/1", "/v1/projects/1/documents"), silent)
    answer = await hasty.http.get("/v1/projects", headers=signed_in)
    waiting = await patient.http.get("/v1/documents/1?wait=30", headers=signed_in)
    uploaded = await patient.http.post("/v1/projects/1/documents", headers=signed_in, content=b"x" * 100_000)

    assert (answer.status_code, answer.json()["code"]) == (504, "upstream_timeout")
    assert {waiting.status_code, uploaded.status_code} == {504}


async def test_an_upload_that_takes_longer_than_an_answer_may_is_fine(make_edge, service, signed_in):
    edge = await make_edge(
        upstream_first_byte_seconds=2, upstream_long_first_byte_seconds=2, upstream_stream_idle_seconds=10,
        upstream_total_seconds=2,
    )  # fmt: skip

    async def slowly():
        for _ in range(6):
            yield b"x" * 1000
            await asyncio.sleep(0.4)

    answer = await edge.http.post("/v1/projects/1/documents", headers=signed_in, content=slowly())

    assert answer.json()["size"] == 6000


async def raw_service(reply: bytes):
    async def serve(reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(reply)
            if not reply.startswith(b"HTTP/1.1 200"):
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("reply", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 204 Fine\r\nBad Header: x\r\n\r\n"])
async def test_a_service_that_talks_nonsense_is_502(make_edge, signed_in, reply):
    server, url = await raw_service(reply)
    edge = await make_edge(projects_url=url)

    answer = await edge.http.post("/v1/projects", headers=signed_in, json={})
    server.close()

    assert (answer.status_code, answer.json()["code"]) == (502, "bad_gateway")


async def test_only_what_may_be_repeated_is_sent_again(make_edge, signed_in):
    seen = []

    async def flaky(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head.split()[0])
        if len(seen) > 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(flaky, "127.0.0.1", 0)
    edge = await make_edge(projects_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    read = await edge.http.get("/v1/projects", headers=signed_in)
    assert (read.status_code, seen) == (200, [b"GET", b"GET"])

    seen.clear()
    written = await edge.http.post("/v1/projects", headers=signed_in, json={})
    assert (written.status_code, seen) == (502, [b"POST"])
    server.close()


async def test_a_kept_connection_that_was_closed_costs_no_request(edge, service, signed_in):
    assert (await edge.http.get("/v1/projects", headers=signed_in)).status_code == 200

    async def closing(scope, receive, send):
        await service.note(scope, receive)
        headers = [(b"connection", b"close"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    service.handlers["/v1/projects"] = closing
    statuses = [(await edge.http.get("/v1/projects", headers=signed_in)).status_code for _ in range(5)]

    assert statuses == [200] * 5


async def test_a_service_that_mostly_fails_is_left_alone_and_let_back(make_edge, service, signed_in):
    edge = await make_edge(breaker_requests=5, breaker_open_seconds=3, limits_factor=10)
    service.answers("/v1/projects", 500, b'{"code":"internal_error"}', content_type="application/problem+json")

    def ask():
        return edge.http.get("/v1/projects", headers=signed_in)

    failing = [(await ask()).status_code for _ in range(5)]
    reached = len(service.seen)
    shed = await ask()

    assert failing == [500] * 5
    assert (shed.status_code, shed.json()["code"]) == (503, "circuit_open")
    assert int(shed.headers["retry-after"]) >= 1
    assert len(service.seen) == reached
    assert (await edge.http.get("/health")).status_code == 200

    del service.handlers["/v1/projects"]

    async def is_back():
        return (await ask()).status_code == 200

    await eventually(is_back)


async def test_a_full_service_sheds_uploads_before_reads_and_pollers_take_no_place(make_edge, service, signed_in):
    edge = await make_edge(upstream_concurrency=10, limits_factor=10)
    release = asyncio.Event()

    async def held(scope, receive, send):
        await service.note(scope, receive)
        await release.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    service.handlers |= {"/v1/projects": held, "/v1/documents/1": held}
    polling = [asyncio.create_task(edge.http.get("/v1/documents/1?wait=30", headers=signed_in)) for _ in range(12)]
    working = [asyncio.create_task(edge.http.get("/v1/projects", headers=signed_in)) for _ in range(7)]

    async def all_arrived():
        return len(service.seen) == 19

    await eventually(all_arrived)
    upload = await edge.http.post("/v1/projects/1/documents", headers=signed_in, content=b"x")
    read = await edge.http.get("/v1/documents/2", headers=signed_in)
    release.set()
    await asyncio.gather(*polling, *working)

    assert (upload.status_code, upload.json()["code"], upload.headers["retry-after"]) == (503, "overloaded", "1")
    assert read.status_code == 200


async def test_without_keys_nobody_is_let_in(make_edge, signed_in):
    edge = await make_edge(auth_jwks_url="http://127.0.0.1:1/jwks.json")

    answer = await edge.http.get("/v1/projects", headers=signed_in)

    assert answer.status_code == 503
    assert (await edge.http.get("/health/ready")).status_code == 503
