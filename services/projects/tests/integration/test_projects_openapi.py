"""The machine-readable form of the API says what the API does."""

from typing import Any

import pytest


@pytest.fixture
async def document(api: Any) -> dict[str, Any]:
    answer = await api.client().get("/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def test_every_route_has_a_tag_a_summary_and_problems(document: dict[str, Any]) -> None:
    tags = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tags |= set(operation["tags"])
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert operation["responses"]["default"]["content"].keys() == {"application/problem+json"}
            assert operation["security"], (method, path)
    assert tags == {"Projects", "Members", "Documents", "Voice samples"}


def test_all_calls_of_the_contract_are_there(document: dict[str, Any]) -> None:
    calls = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}

    assert calls == {
        "POST /v1/projects",
        "GET /v1/projects",
        "GET /v1/projects/{project_id}",
        "PATCH /v1/projects/{project_id}",
        "DELETE /v1/projects/{project_id}",
        "GET /v1/projects/{project_id}/members",
        "POST /v1/projects/{project_id}/members",
        "PATCH /v1/projects/{project_id}/members/{user_id}",
        "DELETE /v1/projects/{project_id}/members/{user_id}",
        "GET /v1/projects/{project_id}/events",
        "GET /v1/documents/{document_id}/pages/{page}/image",
        *(
            call
            for noun, name in (("documents", "document_id"), ("voice-samples", "sample_id"))
            for call in (
                f"POST /v1/projects/{{project_id}}/{noun}",
                f"GET /v1/projects/{{project_id}}/{noun}",
                f"GET /v1/{noun}/{{{name}}}",
                f"DELETE /v1/{noun}/{{{name}}}",
                f"GET /v1/{noun}/{{{name}}}/content",
                f"GET /v1/{noun}/{{{name}}}/result",
                f"GET /v1/{noun}/{{{name}}}/revisions",
                f"POST /v1/{noun}/{{{name}}}/reprocess",
                f"POST /v1/{noun}/{{{name}}}/cancel",
            )
        ),
    }


@pytest.mark.parametrize("noun", ["documents", "voice-samples"])
def test_an_upload_is_described(document: dict[str, Any], noun: str) -> None:
    upload = document["paths"][f"/v1/projects/{{project_id}}/{noun}"]["post"]

    schema = upload["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema["required"] == ["file"]
    assert schema["properties"]["file"]["format"] == "binary"
    assert {"200", "202", "422", "default"} <= upload["responses"].keys()
    names = {parameter["name"] for parameter in upload["parameters"]}
    assert {"Idempotency-Key", "allow_duplicate", "language", "engine"} <= names


def test_the_resource_has_the_fields_of_the_contract(document: dict[str, Any]) -> None:
    common = {
        *("id", "project_id", "filename", "content_type", "size_bytes", "sha256", "status", "progress", "engine"),
        *("language", "confidence", "needs_review", "review_status", "error", "metadata", "created_by"),
        *("created_at", "updated_at", "completed_at"),
    }

    schemas = document["components"]["schemas"]
    assert common | {"pages"} <= schemas["DocumentOut"]["properties"].keys()
    assert common | {"duration_ms"} <= schemas["VoiceSampleOut"]["properties"].keys()
    assert {"OcrResult", "TranscriptResult"} <= schemas.keys()


def test_no_default_breaks_the_rules_of_its_own_field(document: dict[str, Any]) -> None:
    changes = document["components"]["schemas"]["ProjectChanges"]["properties"]

    assert changes["name"]["minLength"] == 1
    assert "default" not in changes["name"]


@pytest.mark.parametrize("path", ["/v1/projects/{project_id}", "/v1/documents/{document_id}"])
def test_what_can_be_kept_says_304(document: dict[str, Any], path: str) -> None:
    assert "304" in document["paths"][path]["get"]["responses"]
