"""The AsyncAPI documents: of the whole system, and of each service. Made once; what they tell of is in the code."""

import orjson

from alta_common.messaging.asyncapi import SERVICES, service_document, system_document
from alta_gateway.api.tagged import Tagged

SYSTEM = "/asyncapi.json"


def path_of(service: str) -> str:
    """Return where the document of a service is."""
    return f"/asyncapi/{service}.json"


def asyncapi_documents(version: str) -> dict[str, Tagged]:
    """Return the documents by path."""
    documents = {SYSTEM: system_document(version)}
    documents |= {path_of(service): service_document(service, version) for service in SERVICES}
    return {path: Tagged.of(orjson.dumps(document)) for path, document in documents.items()}
