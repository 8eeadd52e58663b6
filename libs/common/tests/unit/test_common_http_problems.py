from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI, Query, UploadFile

from alta_common import errors
from alta_common.http.app import ApiModel, create_api
from alta_common.http.preconditions import PreconditionRequiredError
from alta_common.http.tokens import TokenExpiredError

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id", "trace_id"}


class BookIn(ApiModel):
    title: str
    pages: int = 1


class QuotaExceededError(errors.ConflictError):
    """Too many books."""

    code = "quota_exceeded"


RAISED = {
    "not_found": errors.NotFoundError("no such book"),
    "quota": QuotaExceededError("two of two books"),
    "stale": errors.StaleError("it has changed"),
    "forbidden": errors.ForbiddenError("not yours"),
    "anonymous": errors.UnauthenticatedError("who are you"),
    "expired": TokenExpiredError(),
    "invalid": errors.InvalidError("no", [errors.FieldError("/title", "too long")]),
    "large": errors.TooLargeError("too many bytes"),
    "media": errors.UnsupportedMediaTypeError("not a book"),
    "limited": errors.RateLimitedError("slower", 7),
    "away": errors.UnavailableError("later", 9),
    "blind": PreconditionRequiredError("which version"),
}


@pytest.fixture
def app() -> FastAPI:
    app = create_api("books")

    @app.post("/books")
    async def add(book: BookIn) -> BookIn:
        return book

    @app.get("/books/{book_id}")
    async def read(book_id: UUID, limit: Annotated[int, Query(ge=1)] = 1, since: datetime | None = None) -> int:
        return limit

    @app.post("/files")
    async def upload(file: UploadFile) -> str | None:
        return file.filename

    @app.get("/raise/{name}")
    async def fail(name: str) -> None:
        raise RAISED.get(name) or RuntimeError("the password is hunter2")

    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://books") as client:
        yield client


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("not_found", 404, "not_found"),
        ("quota", 409, "quota_exceeded"),
        ("stale", 412, "precondition_failed"),
        ("forbidden", 403, "forbidden"),
        ("anonymous", 401, "unauthenticated"),
        ("expired", 401, "token_expired"),
        ("invalid", 422, "invalid_request"),
        ("large", 413, "payload_too_large"),
        ("media", 415, "unsupported_media_type"),
        ("limited", 429, "rate_limited"),
        ("away", 503, "unavailable"),
        ("blind", 428, "precondition_required"),
    ],
)
async def test_a_kind_of_error_has_its_status_and_keeps_its_code(
    client: httpx.AsyncClient, name: str, status: int, code: str
) -> None:
    answer = await client.get(f"/raise/{name}", headers={"X-Request-ID": "abc"})

    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert body.keys() >= MEMBERS
    assert body["type"] == f"/problems/{code}"
    assert body["instance"] == f"/raise/{name}"
    assert body["request_id"] == "abc"
    assert answer.headers["cache-control"] == "no-store"


async def test_the_instance_of_a_problem_is_a_uri_reference(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing/a%20b%C3%A9/%3Cscript%3E")

    assert answer.json()["instance"] == "/nothing/a%20b%C3%A9/%3Cscript%3E"


async def test_errors_say_what_to_do_next_in_headers(client: httpx.AsyncClient) -> None:
    assert (await client.get("/raise/limited")).headers["retry-after"] == "7"
    assert (await client.get("/raise/away")).headers["retry-after"] == "9"
    assert (await client.get("/raise/anonymous")).headers["www-authenticate"] == 'Bearer realm="alta"'
    assert 'error="invalid_token"' in (await client.get("/raise/expired")).headers["www-authenticate"]


async def test_fields_that_are_wrong_are_pointed_at(client: httpx.AsyncClient) -> None:
    answer = await client.post("/books", json={"pages": "many", "colour": "red"})

    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_failed"
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/title", "/pages", "/colour"}
    assert "many" not in answer.text  # what was sent may be a secret


async def test_path_and_query_are_pointed_at_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/books/seven?limit=0&since=never")

    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert pointers == {"/path/book_id", "/query/limit", "/query/since"}


async def test_own_field_errors_are_passed_on(client: httpx.AsyncClient) -> None:
    assert (await client.get("/raise/invalid")).json()["errors"] == [{"pointer": "/title", "detail": "too long"}]


async def test_a_body_that_is_not_json_is_400(client: httpx.AsyncClient) -> None:
    answer = await client.post("/books", content=b"{", headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_a_body_of_another_media_type_is_415(client: httpx.AsyncClient) -> None:
    answer = await client.post("/books", content=b"title=x", headers={"content-type": "text/plain"})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_a_missing_body_is_422(client: httpx.AsyncClient) -> None:
    answer = await client.post("/books")

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "")


async def test_a_malformed_form_is_400(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = await client.post("/files", content=b"--x\r\nnonsense", headers=headers)

    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_unknown_routes_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    missing = await client.get("/nowhere")
    wrong = await client.delete("/books")

    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    assert missing.json().keys() >= MEMBERS


async def test_what_nobody_foresaw_is_500_and_tells_nothing(
    client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await client.get("/raise/surprise", headers={"X-Request-ID": "abc"})

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"] == "abc"
    assert "hunter2" not in answer.text
    assert "RuntimeError" in capsys.readouterr().out


async def test_the_openapi_document_knows_problems(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    operation = document["paths"]["/books"]["post"]
    assert operation["responses"]["default"]["content"].keys() == {"application/problem+json"}
    assert operation["responses"]["422"]["content"].keys() == {"application/problem+json"}
    assert "HTTPValidationError" not in document["components"]["schemas"]
