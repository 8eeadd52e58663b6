import pytest

from alta_common.messaging.asyncapi import SERVICES
from alta_gateway.answers import Refusal
from alta_gateway.api.asyncapi import path_of
from alta_gateway.forwarding import origin_of, request_headers, response_headers
from alta_gateway.limits.policies import account_key, network_of
from alta_gateway.protocol.rules import decoded_path, host_name
from alta_gateway.routes import routes_of
from alta_gateway.routing import Kind, RouteTable
from alta_gateway.settings import GatewaySettings, Rate

SETTINGS = GatewaySettings(redis_url="redis://unused", outbox_admin_url="http://localhost:8103")


@pytest.fixture(scope="module")
def routes():
    return RouteTable(routes_of(SETTINGS))


@pytest.mark.parametrize(
    ("method", "path", "upstream", "kind", "public"),
    [
        ("POST", "/v1/auth/register", "identity", Kind.AUTH, True),
        ("POST", "/v1/auth/logout", "identity", Kind.WRITE, False),
        ("GET", "/v1/users/me", "identity", Kind.READ, False),
        ("GET", "/v1/admin/users", "identity", Kind.READ, False),
        ("GET", "/v1/admin/outbox", "outbox-admin", Kind.READ, False),
        ("POST", "/v1/admin/outbox/replay", "outbox-admin", Kind.WRITE, False),
        ("GET", "/v1/admin/queues", "outbox-admin", Kind.READ, False),
        ("GET", "/v1/admin/dead-letters/ocr_queue.dead/1", "outbox-admin", Kind.READ, False),
        ("POST", "/v1/admin/dead-letters/ocr_queue.dead/purge", "outbox-admin", Kind.WRITE, False),
        ("GET", "/.well-known/jwks.json", "identity", Kind.READ, True),
        ("POST", "/v1/projects/1/documents", "projects", Kind.UPLOAD, False),
        ("POST", "/v1/projects/1/voice-samples", "projects", Kind.UPLOAD, False),
        ("GET", "/v1/voice-samples/1/result", "projects", Kind.READ, False),
        ("GET", "/v1/search", "projects", Kind.SEARCH, False),
        ("PATCH", "/v1/uploads/1", "projects", Kind.UPLOAD, False),
        ("GET", "/docs", "gateway", Kind.READ, True),
    ],
)
def test_each_route_goes_where_it_belongs(routes, method, path, upstream, kind, public):
    route = routes.find(method, path).route

    assert (route.upstream, route.kind, route.is_public) == (upstream, kind, public)


def test_the_anonymous_may_call_only_what_makes_them_known(routes):
    public = {f"{route.method} {route.template}" for route in routes.all() if route.is_public}

    assert public == {
        "POST /v1/auth/register", "POST /v1/auth/verify-email", "POST /v1/auth/resend-verification",
        "POST /v1/auth/login", "POST /v1/auth/refresh", "POST /v1/auth/password/forgot",
        "POST /v1/auth/password/reset", "POST /v1/oauth/token",
        "GET /.well-known/jwks.json", "GET /.well-known/oauth-authorization-server", "GET /", "GET /docs",
        "GET /openapi.json", "GET /verify-email", "GET /health", "GET /health/live", "GET /health/ready",
        "GET /asyncapi.json", *(f"GET {path_of(service)}" for service in SERVICES),
    }  # fmt: skip


def test_a_fixed_segment_wins_over_a_parameter(routes):
    assert routes.find("GET", "/v1/projects/1/review-queue").route.template == "/v1/projects/{id}/review-queue"
    assert routes.find("GET", "/v1/users/you") is None
    assert routes.find("GET", "/v1/projects//documents") is None


def test_body_limits_are_those_of_the_route(routes):
    mib = 1024 * 1024

    assert routes.find("POST", "/v1/projects").route.body_limit == mib
    assert routes.find("POST", "/v1/admin/outbox/replay").route.body_limit == 64 * 1024
    assert routes.find("POST", "/v1/projects/1/documents").route.body_limit == 101 * mib
    assert routes.find("POST", "/v1/projects/1/voice-samples").route.body_limit == 1025 * mib


@pytest.mark.parametrize(
    "path", [b"/v1/%2f", b"/a/./b", b"/a/%2e", b"/..", b"/a/..%20/..", b"/%5C", b"/%0a", b"/%", b"/%e9"]
)
def test_paths_with_two_meanings_are_refused(path):
    with pytest.raises(Refusal):
        decoded_path(path)


@pytest.mark.parametrize(
    ("path", "decoded"),
    [(b"/a%20b", "/a b"), (b"/..a", "/..a"), (b"/caf%C3%A9", "/café"), (b"/.well-known/x", "/.well-known/x")],
)
def test_other_paths_are_decoded_once(path, decoded):
    assert decoded_path(path) == decoded


def test_a_host_is_known_without_its_port():
    assert host_name(b"API.example:8000") == "api.example"
    assert host_name(b"[::1]:8000") == "[::1]"


def origin(peer, forwarded, trusted):
    settings = GatewaySettings(redis_url="redis://unused", trusted_networks=trusted)
    scope = {"client": (peer, 1), "scheme": "http"}
    headers = {b"x-forwarded-for": forwarded.encode(), b"host": b"a"} if forwarded else {b"host": b"a"}
    return origin_of(scope, headers, settings.trusted_networks).address


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "address"),
    [
        ("203.0.113.9", "1.1.1.1", "", "203.0.113.9"),
        ("203.0.113.9", "1.1.1.1", "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 10.0.0.2", "10.0.0.0/8", "1.1.1.1"),
        ("10.0.0.1", "1.1.1.1, nonsense", "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.0/8", "10.0.0.1"),
        ("::1", "2001:db8::1", "::1/128", "2001:db8::1"),
    ],
)
def test_a_client_s_address_is_the_first_from_the_right_that_is_not_ours(peer, forwarded, trusted, address):
    assert origin(peer, forwarded, trusted) == address


def test_headers_that_connection_names_stay_behind():
    headers = [(b"connection", b"X-A , close"), (b"x-a", b"1"), (b"x-b", "é".encode()), (b"x-c", b"\xe9")]
    where = origin_of({"client": ("1.1.1.1", 1), "scheme": "http"}, {}, [])

    kept = dict(request_headers(headers, where, "r"))

    assert "x-a" not in kept
    assert (kept["x-b"], kept["x-c"], kept["x-request-id"]) == ("é", "é", "r")
    assert response_headers([(b"Connection", b"X-A"), (b"X-A", b"1"), (b"X-B", b"2")]) == [
        (b"x-b", b"2"), (b"via", b"1.1 alta-gateway")
    ]  # fmt: skip


def test_a_whole_ipv6_network_counts_as_one_client():
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::9") == "2001:db8:1:2::"
    assert network_of("::ffff:1.2.3.4") == "1.2.3.4"


def test_an_account_is_one_however_it_is_spelled():
    assert account_key(" Ada@Example.com ") == account_key("ada@example.com")
    assert "ada" not in account_key("ada@example.com")


@pytest.mark.parametrize("text", ["", "300", "300/60", "300/60/0", "-1/60/1", "a/b/c"])
def test_a_rate_that_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match="units/seconds/burst"):
        Rate.parse(text)


def test_every_setting_is_described():
    assert all(setting.description for setting in GatewaySettings.model_fields.values())
