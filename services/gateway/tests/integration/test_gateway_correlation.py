import re

import pytest

from alta_gateway.answers import SECURITY_HEADERS

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_a_request_id_is_kept_forwarded_and_echoed(edge, service, signed_in):
    answer = await edge.http.get("/v1/projects", headers=signed_in | {"X-Request-ID": "Job_7.a-b"})

    assert answer.headers["x-request-id"] == "Job_7.a-b"
    assert service.seen[0].all("x-request-id") == ["Job_7.a-b"]


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "a/b", "é", None])
async def test_a_request_id_of_another_form_is_replaced(edge, service, signed_in, sent):
    headers = {} if sent is None else {"X-Request-ID": sent.encode()}

    answer = await edge.http.get("/v1/projects", headers=signed_in | headers)

    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])
    assert service.seen[0].all("x-request-id") == [answer.headers["x-request-id"]]


async def test_a_trace_is_continued_through_to_the_service(edge, service, signed_in):
    headers = signed_in | {"traceparent": PARENT, "tracestate": "vendor=1", "baggage": "secret=1"}

    answer = await edge.http.get("/v1/projects", headers=headers)

    trace = PARENT.split("-")[1]
    sent, shown = service.seen[0].all("traceparent")[0], answer.headers["traceparent"]
    assert sent.split("-")[1] == shown.split("-")[1] == trace
    assert len({sent.split("-")[2], shown.split("-")[2], PARENT.split("-")[2]}) == 3
    assert service.seen[0].all("tracestate") == ["vendor=1"]
    assert service.seen[0].all("baggage") == []


async def test_a_trace_begins_where_none_came(edge, service, signed_in):
    answer = await edge.http.get("/v1/projects", headers=signed_in | {"traceparent": "nonsense"})

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", answer.headers["traceparent"])


async def test_every_problem_names_its_request_and_trace(edge, signed_in):
    for answer in (
        await edge.http.get("/nowhere", headers={"X-Request-ID": "r1", "traceparent": PARENT}),
        await edge.http.put("/v1/projects", headers={"X-Request-ID": "r1", "traceparent": PARENT}),
        await edge.http.get("/v1/projects", headers={"X-Request-ID": "r1", "traceparent": PARENT}),
    ):
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(problem) >= {"type", "title", "status", "detail", "instance", "code"}
        assert problem["status"] == answer.status_code
        assert problem["instance"] == answer.url.path
        assert (problem["request_id"], problem["trace_id"]) == ("r1", PARENT.split("-")[1])


async def test_an_unknown_path_is_404_and_a_wrong_method_405_with_what_is_possible(edge):
    unknown = [
        await edge.http.get(path) for path in ("/v1", "/v2/projects", "/v1/projects/", "//v1/projects", "/metrics")
    ]
    wrong = await edge.http.put("/v1/projects")

    assert {answer.status_code for answer in unknown} == {404}
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert wrong.json()["code"] == "method_not_allowed"


async def test_security_headers_are_on_every_answer(make_edge, service, signed_in):
    edge = await make_edge(projects_url="http://127.0.0.1:1")
    answers = {
        "passed on": await edge.http.get("/v1/users/me", headers=signed_in),
        "service away": await edge.http.get("/v1/projects", headers=signed_in),
        "unauthenticated": await edge.http.get("/v1/projects"),
        "unknown": await edge.http.get("/nowhere"),
        "wrong method": await edge.http.put("/v1/projects"),
        "health": await edge.http.get("/health/live"),
        "page": await edge.http.get("/docs"),
        "mail page": await edge.http.get("/verify-email"),
        "redirect": await edge.http.get("/"),
        "refused": await edge.http.get("/v1/%00"),
        "options": await edge.http.options("/v1/projects"),
    }

    for name, answer in answers.items():
        for header, value in SECURITY_HEADERS:
            found = answer.headers.get_list(header.decode())
            assert len(found) == 1, (name, header)
            if header == b"content-security-policy":
                assert found[0].startswith("default-src 'none'"), name
            elif header != b"cache-control":
                assert found == [value.decode()], (name, header)
        assert "server" not in answer.headers, name
        assert answer.headers["x-request-id"], name
        assert answer.headers["traceparent"], name
    assert answers["service away"].status_code == 503
    assert answers["passed on"].headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"


async def test_only_named_origins_may_call_from_a_page(make_edge, service, signed_in):
    edge = await make_edge(cors_origins="https://app.example, https://other.example")
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}

    preflight = await edge.http.options("/v1/projects", headers=asked)
    stranger = await edge.http.options("/v1/projects", headers=asked | {"Origin": "https://app.example.evil"})
    called = await edge.http.get("/v1/projects", headers=signed_in | {"Origin": "https://app.example"})
    refused = await edge.http.get("/v1/projects", headers={"Origin": "https://app.example"})
    other = await edge.http.get("/v1/projects", headers=signed_in | {"Origin": "https://evil.example"})

    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "https://app.example")
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "Idempotency-Key" in preflight.headers["access-control-allow-headers"]
    assert (stranger.status_code, stranger.json()["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in stranger.headers
    assert called.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in called.headers
    assert called.headers["vary"] == "Origin"
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://app.example")
    assert (other.status_code, "access-control-allow-origin" in other.headers) == (200, False)


async def test_without_a_token_the_answer_says_what_is_missing(edge, tokens, user_id, service):
    def ask(value):
        return edge.http.get("/v1/projects", headers={"Authorization": value} if value else {})

    missing, basic = await ask(None), await ask("Basic YTpi")
    garbage, key = await ask("Bearer garbage"), await ask("Bearer alta_live_" + "a" * 49)
    expired = await ask("Bearer " + tokens.token(user_id, expires_in=-600))
    foreign = await ask("Bearer " + type(tokens)(kid="another").token(user_id))

    assert {answer.status_code for answer in (missing, basic, garbage, key, expired, foreign)} == {401}
    assert missing.headers["www-authenticate"] == 'Bearer realm="alta"'
    assert 'error="invalid_token"' in garbage.headers["www-authenticate"]
    codes = [answer.json()["code"] for answer in (missing, garbage, key, expired, foreign)]
    assert codes == ["unauthenticated", "token_invalid", "token_invalid", "token_expired", "token_invalid"]
    assert service.seen == []
