"""Documents that are sent once to whoever keeps them."""

import hashlib
from dataclasses import dataclass

from alta_gateway.answers import Answer
from alta_gateway.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Tagged:
    """A JSON document and its entity tag (RFC 9110, section 8.8.3)."""

    body: bytes
    etag: bytes

    @classmethod
    def of(cls, body: bytes) -> "Tagged":
        """Return the document with the tag that its content has."""
        return cls(body, b'"' + hashlib.sha256(body).hexdigest()[:32].encode() + b'"')

    async def __call__(self, exchange: Exchange) -> Answer:
        """Answer with the document, or with 304 who has it already."""
        headers = [(b"etag", self.etag), (b"cache-control", b"no-cache")]
        known = exchange.found.get(b"if-none-match", b"")
        if self.etag in [tag.strip().removeprefix(b"W/") for tag in known.split(b",")]:
            return Answer(304, headers)
        return Answer(200, [(b"content-type", b"application/json"), *headers], self.body)
