from alta_gateway.api.document import base_document
from alta_gateway.api.merge import merge
from alta_gateway.routes import routes_of
from alta_gateway.routing import RouteTable
from alta_gateway.settings import GatewaySettings

ROUTES = RouteTable(routes_of(GatewaySettings(redis_url="redis://unused")))


def ref(name):
    return {"$ref": f"#/components/schemas/{name}"}


def document(path, schema, schemas, **operation):
    answer = {"200": {"description": "Fine.", "content": {"application/json": {"schema": ref(schema)}}}}
    return {"paths": {path: {"get": {"responses": answer, **operation}}}, "components": {"schemas": schemas}}


def merged(identity, projects):
    return merge({"identity": identity, "projects": projects}, ROUTES, base_document("1", "http://x"))


def schema_of(found, path):
    return found["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]


def test_what_is_the_same_is_there_once():
    same = {"Page": {"type": "object", "properties": {"next": {"type": "string"}}}}

    found = merged(document("/v1/users/me", "Page", same), document("/v1/projects", "Page", same))

    assert schema_of(found, "/v1/users/me") == schema_of(found, "/v1/projects") == "#/components/schemas/Page"


def test_one_name_for_two_things_becomes_two_names_and_so_do_those_that_refer_to_it():
    mine = {"Page": {"items": ref("Item")}, "Item": {"type": "string"}}
    yours = {"Page": {"items": ref("Item")}, "Item": {"type": "integer"}, "Free": {"type": "null"}}

    found = merged(document("/v1/users/me", "Page", mine), document("/v1/projects", "Page", yours))

    schemas = found["components"]["schemas"]
    assert schema_of(found, "/v1/users/me") == "#/components/schemas/Page"
    assert schema_of(found, "/v1/projects") == "#/components/schemas/ProjectsPage"
    assert schemas["ProjectsPage"] == {"items": ref("ProjectsItem")}
    assert (schemas["Item"], schemas["ProjectsItem"]) == ({"type": "string"}, {"type": "integer"})
    assert "Free" not in schemas


def test_public_routes_say_so_and_others_what_they_may_answer():
    login = {"paths": {"/v1/auth/login": {"post": {"requestBody": {}, "responses": {}}}}}

    found = merged(login, document("/v1/projects", "Page", {"Page": {}}))

    public, private = found["paths"]["/v1/auth/login"]["post"], found["paths"]["/v1/projects"]["get"]
    assert (public["security"], private["security"]) == ([], [{"bearer": []}])
    assert "401" not in public["responses"]
    assert {"401", "429", "503", "default"} <= set(private["responses"])
    assert "413" in public["responses"]


def test_operations_of_two_services_keep_different_ids_and_their_tags():
    mine = document("/v1/users/me", "A", {"A": {}}, operationId="read", tags=["Users"])
    yours = document("/v1/projects", "A", {"A": {}}, operationId="read")

    found = merged(mine, yours)

    ids = [found["paths"][path]["get"]["operationId"] for path in ("/v1/users/me", "/v1/projects")]
    assert ids == ["identity_read", "projects_read"]
    assert [tag["name"] for tag in found["tags"]] == ["Users", "Projects", "Health"]
