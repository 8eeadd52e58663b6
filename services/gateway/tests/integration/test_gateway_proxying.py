import asyncio

import httpx
import orjson
import pytest

from alta_common.testing import eventually


async def test_a_request_reaches_its_service_and_the_answer_comes_back(edge, service, signed_in):
    answer = await edge.http.get("/v1/projects?limit=3&q=a%20b", headers=signed_in)

    assert answer.status_code == 200
    assert answer.json() == {"path": "/v1/projects", "size": 0}
    assert service.seen[0].query == b"limit=3&q=a%20b"
    assert service.seen[0].all("authorization") == [signed_in["Authorization"]]


async def test_a_path_arrives_byte_for_byte(edge, service, signed_in):
    await edge.http.get("/v1/documents/caf%C3%A9%20x", headers=signed_in)

    assert service.seen[0].raw_path == b"/v1/documents/caf%C3%A9%20x"


async def test_a_body_arrives_whole_with_its_type(edge, service, signed_in):
    await edge.http.post("/v1/projects", headers=signed_in, json={"name": "Leases"})

    seen = service.seen[0]
    assert seen.body == b'{"name":"Leases"}'
    assert seen.all("content-type") == ["application/json"]
    assert seen.all("content-length") == [str(len(seen.body))]


async def test_a_large_upload_arrives_whole_in_either_framing(edge, service, signed_in):
    async def pieces():
        for _ in range(160):
            yield b"x" * 65_536

    for headers in ({}, {"content-length": str(160 * 65_536)}):
        answer = await edge.http.post("/v1/projects/1/documents", headers=signed_in | headers, content=pieces())
        assert answer.json()["size"] == 160 * 65_536


async def test_a_large_answer_arrives_whole(edge, service, signed_in):
    service.answers("/v1/documents/1/content", 200, b"y" * 10_000_000, content_type="application/pdf")

    answer = await edge.http.get("/v1/documents/1/content", headers=signed_in)

    assert answer.content == b"y" * 10_000_000
    assert answer.headers["content-length"] == "10000000"


async def test_what_a_client_claims_about_itself_never_arrives(edge, service, signed_in):
    claims = {
        "X-User-Id": "1",
        "X-Internal-Role": "admin",
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/x",
        "Forwarded": "for=1.2.3.4",
        "X-Real-IP": "1.2.3.4",
        "Connection": "close, X-Secret",
        "X-Secret": "hop",
        "Keep-Alive": "1",
        "TE": "trailers",
        "Proxy-Authorization": "Basic x",
        "X-Kept": "yes",
    }

    await edge.http.get("/v1/projects", headers=signed_in | claims)

    seen = service.seen[0]
    assert seen.all("x-forwarded-for") == ["127.0.0.1"]
    assert seen.all("x-forwarded-proto") == ["http"]
    assert seen.all("x-forwarded-host") == [f"127.0.0.1:{edge.port}"]
    assert seen.all("via") == ["1.1 alta-gateway"]
    assert seen.all("x-kept") == ["yes"]
    gone = {"x-user-id", "x-internal-role", "x-forwarded-prefix", "forwarded", "x-real-ip", "x-secret", "te"}
    assert not (gone | {"keep-alive", "proxy-authorization"}) & {name for name, _ in seen.headers}


async def test_a_trusted_load_balancer_is_believed_from_the_right(make_edge, service, signed_in):
    edge = await make_edge(trusted_networks="127.0.0.0/8, 10.0.0.0/8")
    forwarded = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9, 10.1.1.1", "X-Forwarded-Proto": "https"}

    await edge.http.get("/v1/projects", headers=signed_in | forwarded)

    assert service.seen[0].all("x-forwarded-for") == ["203.0.113.9"]
    assert service.seen[0].all("x-forwarded-proto") == ["https"]


async def test_hop_by_hop_and_telling_headers_do_not_come_back(edge, service, signed_in):
    service.answers(
        "/v1/projects", 200, b"{}", Server="x", X_Powered_By="y", Connection="X-Hop", X_Hop="z", Proxy_Authenticate="q",
        ETag='"1"', Cache_Control="private, max-age=5", X_Request_ID="theirs", X_Frame_Options="ALLOWALL",
    )  # fmt: skip

    answer = await edge.http.get("/v1/projects", headers=signed_in)

    assert not {"server", "x-powered-by", "x-hop", "proxy-authenticate"} & set(answer.headers)
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["cache-control"] == "private, max-age=5"
    assert answer.headers["via"] == "1.1 alta-gateway"
    assert answer.headers.get_list("x-frame-options") == ["DENY"]
    assert answer.headers.get_list("x-request-id") != ["theirs"]
    assert len(answer.headers.get_list("date")) == 1


async def test_a_download_is_saved_and_sandboxed(edge, service, signed_in):
    service.answers("/v1/documents/1/content", 200, b"<script>", content_type="text/html")
    named = 'attachment; filename="a.pdf"'
    service.answers("/v1/voice-samples/1/content", 200, b"RIFF", Content_Disposition=named)

    page = await edge.http.get("/v1/documents/1/content", headers=signed_in)
    recording = await edge.http.get("/v1/voice-samples/1/content", headers=signed_in)

    assert page.headers["content-disposition"] == "attachment"
    assert page.headers.get_list("content-security-policy")[0].startswith("sandbox")
    assert len(page.headers.get_list("content-security-policy")) == 1
    assert recording.headers["content-disposition"] == named


async def test_head_is_answered_like_get_without_the_body(edge, service, signed_in):
    service.answers("/v1/projects", 200, b'{"a": 1}')

    answer = await edge.http.head("/v1/projects", headers=signed_in)

    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "8")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_ends(edge, service, signed_in, status):
    service.answers("/v1/projects", status)

    answer = await edge.http.get("/v1/projects", headers=signed_in)

    assert (answer.status_code, answer.content) == (status, b"")


async def test_a_service_s_problem_passes_and_a_framework_s_words_become_one(edge, service, signed_in):
    problem = orjson.dumps({"code": "quota_exceeded", "status": 409})
    service.answers("/v1/projects", 409, problem, content_type="application/problem+json")
    service.answers("/v1/documents/1", 500, b"Internal Server Error", content_type="text/plain")

    passed = await edge.http.get("/v1/projects", headers=signed_in)
    made = await edge.http.get("/v1/documents/1", headers=signed_in)

    assert passed.content == problem
    assert (made.status_code, made.headers["content-type"]) == (500, "application/problem+json")
    assert made.json()["code"] == "internal_error"


async def test_events_arrive_while_the_stream_is_open(edge, service, signed_in):
    more = asyncio.Event()

    async def events(scope, receive, send):
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await more.wait()
        await send({"type": "http.response.body", "body": b"data: 2\n\n"})

    service.handlers["/v1/projects/1/events"] = events

    async with edge.http.stream("GET", "/v1/projects/1/events", headers=signed_in) as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"data: 1\n\n"
        more.set()
        assert await anext(pieces) == b"data: 2\n\n"


async def test_a_client_that_goes_away_ends_the_work_done_for_it(edge, service, signed_in):
    began, ended = asyncio.Event(), asyncio.Event()

    async def waiting(scope, receive, send):
        await service.note(scope, receive)
        began.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    service.handlers["/v1/documents/1"] = waiting
    request = asyncio.create_task(edge.http.get("/v1/documents/1?wait=30", headers=signed_in))
    await began.wait()
    request.cancel()

    async with asyncio.timeout(60):
        await ended.wait()


async def test_an_upload_that_breaks_off_breaks_off_at_the_service(edge, service, signed_in):
    head = (
        f"POST /v1/projects/1/documents HTTP/1.1\r\nHost: x\r\nAuthorization: {signed_in['Authorization']}\r\n"
        "Content-Length: 5000000\r\n\r\n"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(head.encode() + b"x" * 200_000)
    await writer.drain()

    async def has_begun():
        return bool(service.seen and service.seen[0].size)

    await eventually(has_begun)
    writer.transport.abort()

    async def has_ended():
        return service.gone == 1

    await eventually(has_ended)


async def test_a_service_may_answer_before_the_upload_is_whole(edge, service, signed_in):
    service.handlers["/v1/projects/1/documents"] = _refusing

    async def pieces():
        for _ in range(300):
            yield b"x" * 65_536

    answer = await edge.http.post("/v1/projects/1/documents", headers=signed_in, content=pieces())

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def _refusing(scope, receive, send):
    await receive()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"33")]
    await send({"type": "http.response.start", "status": 415, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"code":"unsupported_media_type"}'})


async def test_an_answer_that_breaks_off_is_visibly_not_whole(edge, service, signed_in):
    async def broken(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"[1,", "more_body": True})

    service.handlers["/v1/projects"] = broken

    with pytest.raises(httpx.RemoteProtocolError):
        await edge.http.get("/v1/projects", headers=signed_in)


async def test_one_connection_carries_many_requests(edge, service, signed_in):
    head = f"GET /v1/projects HTTP/1.1\r\nHost: x\r\nAuthorization: {signed_in['Authorization']}\r\n"

    received = await edge.raw(
        f"{head}\r\n{head}\r\n{head}Connection: close\r\n\r\n".encode(),
    )

    assert received.count(b"HTTP/1.1 200 OK") == 3
    assert len(service.seen) == 3
