import asyncio

import orjson
import pytest

from alta_common.testing import eventually

HOST = b"Host: a\r\n"
END = b"Connection: close\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST


def parsed(received: bytes):
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, body


SMUGGLED = {
    "content-length with transfer-encoding": (400, POST + b"Content-Length: 3\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    "transfer-encoding with content-length": (400, POST + CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n"),
    "two content-lengths": (400, POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    "a list of content-lengths": (400, POST + b"Content-Length: 3, 3\r\n\r\nabc"),
    "a signed content-length": (400, POST + b"Content-Length: +3\r\n\r\nabc"),
    "an endless content-length": (400, POST + b"Content-Length: 99999999999999999999\r\n\r\n"),
    "another coding": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "an unknown coding": (501, POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "chunked twice": (501, POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n"),
    "chunked in HTTP/1.0": (400, b"POST / HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n"),
    "a space before the colon": (400, POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    "a folded header": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\r\n c\r\n\r\n"),
    "a bare LF": (400, b"GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n"),
    "a bare CR": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\rX-B: c\r\n\r\n"),
    "NUL": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\0c\r\n\r\n"),
    "no Host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "no Host in HTTP/1.0": (400, b"GET / HTTP/1.0\r\n\r\n"),
    "two Hosts": (400, b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n"),
    "a malformed Host": (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "a Host with user info": (400, b"GET / HTTP/1.1\r\nHost: me@a\r\n\r\n"),
    "an empty Host": (400, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    "a target of another host": (400, b"GET http://b/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "an underscore in a name": (400, b"GET / HTTP/1.1\r\n" + HOST + b"X_User_Id: 1\r\n\r\n"),
    "an encoded NUL": (400, b"GET /v1/%00 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "an encoded slash": (400, b"GET /v1/a%2Fb HTTP/1.1\r\n" + HOST + b"\r\n"),
    "an encoded backslash": (400, b"GET /v1/a%5cb HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a backslash": (400, b"GET /v1\\a HTTP/1.1\r\n" + HOST + b"\r\n"),
    "dots": (400, b"GET /v1/../health HTTP/1.1\r\n" + HOST + b"\r\n"),
    "encoded dots": (400, b"GET /v1/%2e%2E/health HTTP/1.1\r\n" + HOST + b"\r\n"),
    "half an escape": (400, b"GET /v1/%zz HTTP/1.1\r\n" + HOST + b"\r\n"),
    "not UTF-8": (400, b"GET /v1/%ff HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a fragment": (400, b"GET /v1#a HTTP/1.1\r\n" + HOST + b"\r\n"),
    "an encoded line break": (400, b"GET /v1/a%0d%0aX:b HTTP/1.1\r\n" + HOST + b"\r\n"),
    "HTTP/2.0": (505, b"GET / HTTP/2.0\r\n" + HOST + b"\r\n"),
    "HTTP/0.9": (400, b"GET /\r\n\r\n"),
    "CONNECT": (405, b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "TRACE": (405, b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "an unknown method": (400, b"FROB / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "no HTTP at all": (400, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"),
    "a long target": (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "many headers": (431, b"GET / HTTP/1.1\r\n" + HOST + b"X-A: b\r\n" * 100 + b"\r\n"),
    "large headers": (431, b"GET / HTTP/1.1\r\n" + HOST + (b"X-A: " + b"b" * 4000 + b"\r\n") * 9 + b"\r\n"),
    "one endless header": (431, b"GET / HTTP/1.1\r\n" + HOST + b"X-A: " + b"b" * 200_000),
}  # fmt: skip


async def test_what_could_be_read_in_two_ways_is_refused(edge, service):
    answers = {name: parsed(await edge.raw(request)) for name, (_, request) in SMUGGLED.items()}

    assert {name: status for name, (status, _, _) in answers.items()} == {
        name: expected for name, (expected, _) in SMUGGLED.items()
    }
    for name, (status, headers, body) in answers.items():
        problem = orjson.loads(body)
        assert headers["content-type"] == "application/problem+json", name
        assert headers["connection"] == "close", name
        assert headers["x-content-type-options"] == "nosniff", name
        assert problem["status"] == status, name
        assert problem["request_id"] == headers["x-request-id"], name
        assert problem["trace_id"] in headers["traceparent"], name
    assert service.seen == []


async def test_trailers_never_become_headers(edge, service, signed_in):
    request = (
        b"POST /v1/auth/logout HTTP/1.1\r\n" + HOST + CHUNKED + END
        + b"0\r\nAuthorization: " + signed_in["Authorization"].encode() + b"\r\nX-Late: 1\r\n\r\n"
    )  # fmt: skip
    status, _, _ = parsed(await edge.raw(request))
    assert status == 401

    request = request.replace(HOST, HOST + b"Authorization: " + signed_in["Authorization"].encode() + b"\r\n", 1)
    status, _, _ = parsed(await edge.raw(request))
    assert status == 200
    assert service.seen[0].all("x-late") == []


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n\r\nhello", CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n"])
async def test_an_upgrade_is_ignored_and_the_body_kept(edge, service, signed_in, framing):
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
    token = b"Authorization: " + signed_in["Authorization"].encode() + b"\r\n"
    second = b"GET /v1/projects HTTP/1.1\r\n" + HOST + token + END

    received = await edge.raw(b"POST /v1/projects HTTP/1.1\r\n" + HOST + token + upgrade + framing + second)

    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert [seen.body for seen in service.seen] == [b"hello", b""]
    assert service.seen[0].all("upgrade") == service.seen[0].all("http2-settings") == []


async def test_an_upgrade_without_a_body_is_ignored(edge, service):
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    second = b"GET /health/live HTTP/1.1\r\n" + HOST + END

    received = await edge.raw(b"GET /health/live HTTP/1.1\r\n" + HOST + upgrade + b"\r\n" + second)

    assert received.count(b"HTTP/1.1 200 OK") == 2


async def test_a_head_in_pieces_is_a_request(edge):
    pieces = [bytes([byte]) for byte in b"GET /health/live HTTP/1.1\r\n" + HOST + END]

    status, _, _ = parsed(await edge.raw(*pieces))

    assert status == 200


async def test_a_target_in_absolute_form_is_its_path(edge):
    status, _, _ = parsed(await edge.raw(b"GET http://a/health/live?x HTTP/1.1\r\n" + HOST + END))

    assert status == 200


ODD = [
    (b"/v1/projects", b'q="<>|\\^`{}'),
    (b"/v1/documents/a;b=c@d!$&'()*+,:[]", b""),
    (b"/v1/projects", b"a=%zz%&?x"),
    (b"/v1/documents/a%20b", b"x=%2F..%00"),
]


@pytest.mark.parametrize(("path", "query"), ODD)
async def test_an_odd_target_arrives_as_it_was_written(edge, service, signed_in, path, query):
    token = b"Authorization: " + signed_in["Authorization"].encode() + b"\r\n"

    await edge.raw(b"GET " + path + b"?" + query + b" HTTP/1.1\r\n" + HOST + token + END)

    assert (service.seen[0].raw_path, service.seen[0].query) == (path, query)


async def test_only_allowed_hosts_are_served(make_edge):
    edge = await make_edge(allowed_hosts="api.example")

    here = parsed(await edge.raw(b"GET /health/live HTTP/1.1\r\nHost: API.example:8000\r\n" + END))
    elsewhere = parsed(await edge.raw(b"GET /health/live HTTP/1.1\r\nHost: evil.example\r\n" + END))

    assert (here[0], elsewhere[0]) == (200, 421)


async def test_a_refusal_waits_for_the_answer_before_it(edge, service, signed_in):
    token = b"Authorization: " + signed_in["Authorization"].encode() + b"\r\n"
    good = b"GET /v1/projects HTTP/1.1\r\n" + HOST + token + b"\r\n"

    received = await edge.raw(good + b"GET /v1/projects HTTP/1.1\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.count(b"HTTP/1.1 400 Bad Request") == 1
    assert received.index(b"400 Bad Request") > received.index(b'"path"')


async def test_a_broken_chunk_ends_the_request(edge, service, signed_in):
    head = b"POST /v1/projects HTTP/1.1\r\n" + HOST + b"Authorization: " + signed_in["Authorization"].encode() + b"\r\n"

    status, _, body = parsed(await edge.raw(head + CHUNKED + b"\r\n5\r\nhello\r\nzz\r\n"))

    assert (status, orjson.loads(body)["code"]) == (400, "bad_request")


async def test_slow_clients_are_cut_off(make_edge, signed_in):
    # Apart, so that nobody is late with the first byte who only means to be late with the others.
    waiting = await make_edge(first_byte_seconds=0.6)
    edge = await make_edge(header_seconds=0.6, body_idle_seconds=0.6, upload_body_idle_seconds=0.6)
    token = b"Authorization: " + signed_in["Authorization"].encode() + b"\r\n"
    posting = b"POST /v1/projects/1/documents HTTP/1.1\r\n" + HOST + token + b"Content-Length: 100\r\n\r\nabc"

    silent, head, body = await asyncio.gather(waiting.raw(), edge.raw(b"GET / HTTP/1.1\r\nHost"), edge.raw(posting))

    assert silent == b""
    assert parsed(head)[0] == 408
    assert parsed(body)[0] == 408


async def test_a_dripping_body_is_cut_off(make_edge, signed_in):
    edge = await make_edge(body_grace_seconds=0.6)
    head = b"POST /v1/projects HTTP/1.1\r\n" + HOST + b"Authorization: " + signed_in["Authorization"].encode() + b"\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(head + b"Content-Length: 1000\r\n\r\n")

    async def drip():
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.1)

    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(60):
        status, _, _ = parsed(await reader.read())
    dripping.cancel()
    writer.close()

    assert status == 408


async def test_an_address_has_so_many_connections_and_others_do_not_suffer(make_edge):
    edge = await make_edge(connections_per_address=3)
    held = [await asyncio.open_connection("127.0.0.1", edge.port) for _ in range(3)]

    status, headers, _ = parsed(await edge.raw())
    assert (status, headers["retry-after"]) == (503, "5")

    held[0][1].close()

    async def fits():
        return parsed(await edge.raw(b"GET /health/live HTTP/1.1\r\n" + HOST + END))[0] == 200

    await eventually(fits)
    for _, writer in held:
        writer.close()


async def test_a_body_over_the_limit_is_refused_without_being_read(edge, service, signed_in):
    head = b"POST /v1/projects/1/documents HTTP/1.1\r\n" + HOST
    head += b"Authorization: " + signed_in["Authorization"].encode() + b"\r\n"
    length = b"Content-Length: 209715200\r\n"

    for expecting in (b"", b"Expect: 100-continue\r\n"):
        status, headers, body = parsed(await edge.raw(head + length + expecting + b"\r\n"))
        assert (status, orjson.loads(body)["code"]) == (413, "payload_too_large")
        assert headers["connection"] == "close"
    assert service.seen == []


async def test_a_client_that_sends_all_of_it_still_reads_why_it_was_refused(edge, service, signed_in):
    async def pieces():
        for _ in range(200):
            yield b"x" * 1024 * 1024

    answer = await edge.http.post(
        "/v1/projects/1/documents", headers=signed_in | {"content-length": str(200 << 20)}, content=pieces()
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert service.seen == []


async def test_a_body_without_a_length_is_counted(make_edge, service, signed_in):
    edge = await make_edge(document_max_bytes=1 << 20)

    async def pieces():
        for _ in range(64):
            yield b"x" * 65_536

    answer = await edge.http.post("/v1/projects/1/documents", headers=signed_in, content=pieces())

    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")

    async def has_broken_off():
        return service.gone == 1

    await eventually(has_broken_off)


async def test_continue_is_sent_only_when_the_body_is_wanted(edge, service, signed_in):
    head = b"POST /v1/projects HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nExpect: 100-continue\r\n" + END[:-2]
    token = b"Authorization: " + signed_in["Authorization"].encode() + b"\r\n"

    wanted = await edge.raw(head + token + b"\r\n", b"{}")
    unwanted = await edge.raw(head + b"\r\n")

    assert wanted.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
    assert unwanted.startswith(b"HTTP/1.1 401")
    assert service.seen[0].all("expect") == []
