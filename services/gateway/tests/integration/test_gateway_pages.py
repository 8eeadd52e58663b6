import base64
import hashlib
import re

import orjson


def documented(paths, schemas=None, **more):
    return orjson.dumps(
        {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": paths,
         "components": {"schemas": schemas or {}}, **more}
    )  # fmt: skip


def operation(ref=None, **more):
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ref}"}}} if ref else {}
    return {"responses": {"200": {"description": "Fine.", "content": content}}, **more}


def refs(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        for inner in value.values():
            yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


async def test_the_document_names_only_what_the_gateway_lets_through(edge, service):
    service.answers(
        "/openapi.json", 200,
        documented({
            "/v1/projects": {"get": operation("Project", operationId="list_projects", tags=["Projects"])},
            "/v1/users/me": {"get": operation("Me")},
            "/internal/secrets": {"get": operation("Secret")},
            "/v1/projects/{project_id}": {"get": operation("Project"), "put": operation("Secret")},
        }, {"Project": {"type": "object"}, "Me": {"type": "object"}, "Secret": {"type": "object"}}),
    )  # fmt: skip

    answer = await edge.http.get("/openapi.json")
    document = answer.json()

    assert answer.status_code == 200
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "http://localhost:8000"}]
    assert {"/v1/projects", "/v1/users/me", "/v1/projects/{project_id}", "/health"} <= set(document["paths"])
    assert "/internal/secrets" not in document["paths"]
    assert "put" not in document["paths"]["/v1/projects/{project_id}"]
    assert "Secret" not in document["components"]["schemas"]
    listing = document["paths"]["/v1/projects"]["get"]
    assert {"200", "401", "429", "503", "default"} <= set(listing["responses"])
    assert listing["security"] == [{"bearer": []}]
    assert document["paths"]["/health"]["get"]["security"] == []
    ids = [one["operationId"] for item in document["paths"].values() for one in item.values()]
    assert len(ids) == len(set(ids))
    for ref in refs(document):
        section, name = ref.removeprefix("#/components/").split("/")
        assert name in document["components"][section], ref


async def test_the_document_is_remembered_while_services_are_away(make_edge, service):
    service.answers("/openapi.json", 200, documented({"/v1/projects": {"get": operation()}}))
    edge = await make_edge(openapi_seconds=0.01)
    first = await edge.http.get("/openapi.json")
    service.answers("/openapi.json", 500)

    again = await edge.http.get("/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    later = await edge.http.get("/openapi.json")

    assert (again.status_code, again.content) == (304, b"")
    assert later.content == first.content


async def test_a_document_that_is_not_whole_is_not_shown(make_edge, service):
    service.answers("/openapi.json", 200, documented({"/v1/projects": {"get": operation()}}))
    edge = await make_edge(identity_url="http://127.0.0.1:1")

    answer = await edge.http.get("/openapi.json")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "identity" in answer.json()["detail"]


async def test_the_document_is_whole_without_the_api_of_operations(make_edge, service):
    service.answers("/openapi.json", 200, documented({"/v1/projects": {"get": operation()}}))
    service.answers(
        "/operations/openapi.json", 200,
        documented({"/v1/admin/queues": {"get": operation("Page", operationId="list")}}, {"Page": {"type": "object"}}),
    )  # fmt: skip
    without = await make_edge(outbox_admin_url="http://127.0.0.1:1")
    with_it = await make_edge(outbox_admin_url=f"{service.url}/operations")
    never = await make_edge()

    paths = [(await edge.http.get("/openapi.json")).json()["paths"] for edge in (without, with_it, never)]
    ready, health = await without.http.get("/health/ready"), await without.http.get("/health")
    unknown = await never.http.get("/v1/admin/queues")

    assert ["/v1/admin/queues" in each for each in paths] == [False, True, False]
    assert paths[1]["/v1/admin/queues"]["get"]["operationId"] == "outbox_admin_list"
    assert ready.status_code == 200
    assert health.json()["services"]["outbox-admin"] == "unavailable"
    assert unknown.status_code == 404


async def test_the_documents_of_events_are_there_for_everybody_and_sent_once(edge):
    for path, title in (("/asyncapi.json", "Alta Data"), ("/asyncapi/ocr.json", "Alta Data: ocr")):
        answer = await edge.http.get(path)
        again = await edge.http.get(path, headers={"If-None-Match": answer.headers["etag"]})

        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert (answer.json()["asyncapi"], answer.json()["info"]["title"]) == ("3.0.0", title)
        assert (again.status_code, again.content) == (304, b"")
    assert (await edge.http.get("/asyncapi/nobody.json")).status_code == 404


async def test_pages_run_only_their_own_script_and_load_nothing_from_elsewhere(edge):
    for path in ("/docs", "/verify-email"):
        page = await edge.http.get(path)
        policy = page.headers["content-security-policy"]
        for tag in ("script", "style"):
            inner = re.search(rf"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)[1]
            digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=\"https?:", page.text)
        assert not re.search(r"\son\w+=|style=", page.text.split("<script>", maxsplit=1)[0])


async def test_the_front_door_leads_to_the_reference(edge):
    answer = await edge.http.get("/")

    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


async def test_health_tells_of_the_services(make_edge, service):
    service.answers("/ocr-ready", 503)
    edge = await make_edge(projects_url="http://127.0.0.1:1", health_urls=f"ocr={service.url}/ocr-ready")

    overview, live = await edge.http.get("/health"), await edge.http.get("/health/live")

    assert overview.status_code == 200
    assert overview.json() == {
        "status": "degraded",
        "version": "0.1.0",
        "services": {"identity": "ok", "projects": "unavailable", "ocr": "unavailable"},
    }
    assert live.json() == {"status": "ok"}


async def test_ready_once_everything_was_there_and_a_service_that_goes_changes_nothing(make_edge, service, redis_url):
    edge = await make_edge(projects_url="http://127.0.0.1:1")
    before = await edge.http.get("/health/ready")
    assert before.status_code == 503
    assert before.json()["checks"]["identity"] == "ok"
    assert before.json()["checks"]["projects"] != "ok"

    edge = await make_edge(redis_url="redis://127.0.0.1:1")
    after = await edge.http.get("/health/ready")
    assert after.status_code == 200
    assert after.json()["checks"]["redis"] != "ok"


async def test_probes_are_not_limited(make_edge):
    edge = await make_edge(limit_anonymous="1/60/1")

    statuses = [(await edge.http.get("/health/live")).status_code for _ in range(5)]

    assert statuses == [200] * 5
