async def test_the_document_tells_of_every_route_and_its_problems(api):
    document = (await api.get("/openapi.json")).json()

    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) == {
        "POST /v1/auth/register",
        "POST /v1/auth/verify-email",
        "POST /v1/auth/resend-verification",
        "POST /v1/auth/login",
        "POST /v1/auth/refresh",
        "POST /v1/auth/logout",
        "GET /v1/users/me",
        "PATCH /v1/users/me",
        "GET /.well-known/jwks.json",
        "GET /.well-known/oauth-authorization-server",
    }
    for operation in operations.values():
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"][0] in {"Authentication", "Users", "Keys"}
        assert operation["responses"]["default"]["content"]["application/problem+json"]
    assert operations["POST /v1/auth/logout"]["security"] == [{"bearer": []}]
    assert "security" not in operations["POST /v1/auth/login"]
    password = document["components"]["schemas"]["RegisterIn"]["properties"]["password"]
    assert (password["format"], password["writeOnly"]) == ("password", True)


async def test_unknown_routes_are_problems(api):
    answer = await api.get("/v1/auth/nothing")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
