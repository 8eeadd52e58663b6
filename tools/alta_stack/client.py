"""A client of the API, as the demo, the journey tests and the benchmarks use it."""

import asyncio
import mimetypes
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

_TOKEN = re.compile(r"#token=([A-Za-z0-9._~+/=-]+)")
_ENDED = frozenset({"completed", "failed", "cancelled"})
# Shorter than the 60 s that the gateway's clients usually wait for an answer.
_LONG_POLL_SECONDS = 30
_PATIENT = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_MEDIA_TYPES = {
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".webp": "image/webp",
}


class Kind(StrEnum):
    """What is uploaded; the value is the word of its routes."""

    DOCUMENT = "documents"
    VOICE_SAMPLE = "voice-samples"


class ProblemError(Exception):
    """The API said no; the message is what a person needs to know."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.problem: dict[str, Any] = _json_of(response)
        self.code = str(self.problem.get("code", ""))
        detail = self.problem.get("detail") or self.problem.get("title") or response.text[:300]
        super().__init__(
            f"{response.request.method} {response.request.url.path}: {self.status} {self.code}: {detail} "
            f"(request {self.problem.get('request_id', response.headers.get('X-Request-ID', '?'))})"
        )


def _json_of(response: httpx.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


@dataclass(frozen=True)
class Item:
    """A document or a voice sample as the API showed it last."""

    kind: Kind
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.data["id"])

    @property
    def filename(self) -> str:
        """The name it was uploaded with."""
        return str(self.data["filename"])

    @property
    def status(self) -> str:
        """`queued`, `processing`, `completed`, `failed` or `cancelled`."""
        return str(self.data["status"])

    @property
    def has_ended(self) -> bool:
        """Nothing more will happen to it by itself."""
        return self.status in _ENDED

    @property
    def url(self) -> str:
        """Its path."""
        return f"/v1/{self.kind}/{self.id}"


class AltaClient:
    """One user of one gateway. Signs in again by itself, and waits when the gateway asks it to."""

    def __init__(self, gateway_url: str, mail_url: str, *, timeout_seconds: float = 120) -> None:
        limits = httpx.Limits(max_connections=50)
        self.http = httpx.AsyncClient(base_url=gateway_url, timeout=timeout_seconds, limits=limits, trust_env=False)
        self._mail = httpx.AsyncClient(base_url=mail_url, timeout=timeout_seconds, trust_env=False)
        self.email = ""
        self.password = ""
        self._tokens: dict[str, Any] = {}
        self._expires = 0.0
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()
        await self._mail.aclose()

    async def register(self, full_name: str = "Ada Lovelace", email: str | None = None) -> str:
        """Register an account with a new address and password; returns the address."""
        self.email = email or f"ada.{secrets.token_hex(6)}@example.org"
        self.password = secrets.token_urlsafe(18)
        body = {"email": self.email, "password": self.password, "full_name": full_name}
        await self.request("POST", "/v1/auth/register", json=body)
        return self.email

    async def verification_token(self, within_seconds: float = 60) -> str:
        """Read the token out of the newest verification mail. Raises `TimeoutError` when none arrives."""
        return (await self._mail_with(_TOKEN, within_seconds))[1]

    async def mail_with(self, words: str, within_seconds: float = 60) -> str:
        """Return the text of the newest mail that has these words in it. Raises `TimeoutError` when none arrives."""
        return (await self._mail_with(re.compile(re.escape(words)), within_seconds)).string

    async def _mail_with(self, wanted: re.Pattern[str], within_seconds: float) -> re.Match[str]:
        async with asyncio.timeout(within_seconds):
            while True:
                found = (await self._mail.get("/api/v1/search", params={"query": f"to:{self.email}"})).json()
                for summary in found["messages"]:
                    mail = (await self._mail.get(f"/api/v1/message/{summary['ID']}")).json()
                    if match := wanted.search(mail["Text"]):
                        return match
                await asyncio.sleep(0.1)

    async def verify(self, token: str) -> None:
        """Confirm the address with the token of the mail."""
        await self.request("POST", "/v1/auth/verify-email", json={"token": token})

    async def sign_in(self) -> None:
        """Sign in; later calls carry the access token and renew it in time."""
        answer = await self.request("POST", "/v1/auth/login", json={"email": self.email, "password": self.password})
        self._take_tokens(answer)

    async def register_and_sign_in(self, full_name: str = "Ada Lovelace") -> str:
        """Do everything that a new user does, and return the address."""
        await self.register(full_name)
        await self.verify(await self.verification_token())
        await self.sign_in()
        return self.email

    async def create_project(self, name: str, description: str = "") -> dict[str, Any]:
        """Create a project and return it."""
        body = {"name": name, **({"description": description} if description else {})}
        answer = await self.request(
            "POST", "/v1/projects", json=body, headers={"Idempotency-Key": secrets.token_hex(16)}
        )
        return _json_of(answer)

    async def upload(
        self,
        project_id: str,
        path: Path,
        kind: Kind = Kind.DOCUMENT,
        *,
        duplicate: bool = False,
        headers: dict[str, str] | None = None,
    ) -> Item:
        """Upload a file and return what it became. Sending it again after a lost answer uploads it once."""
        headers = {"Idempotency-Key": secrets.token_hex(16), **(headers or {})}
        answer = await self.request(
            "POST",
            f"/v1/projects/{project_id}/{kind}",
            upload=path,
            headers=headers,
            params={"allow_duplicate": "true"} if duplicate else None,
        )
        return Item(kind, answer.json())

    async def get(self, item: Item, wait_seconds: int = 0) -> Item:
        """Return an item as it is now, or after its status has changed, or after `wait_seconds`."""
        params = {"wait": wait_seconds} if wait_seconds else None
        return Item(item.kind, (await self.request("GET", item.url, params=params)).json())

    async def list_items(self, project_id: str, kind: Kind) -> list[Item]:
        """Return all documents or voice samples of a project."""
        return [item async for item in self._pages(project_id, kind)]

    async def wait_for(self, item: Item, within_seconds: float = 300) -> Item:
        """Wait until an item has ended, well or not. Raises `TimeoutError`."""
        async with asyncio.timeout(within_seconds):
            while not item.has_ended:
                item = await self.get(item, _LONG_POLL_SECONDS)
        return item

    async def cancel(self, item: Item) -> Item:
        """Stop reading an item and return it. Raises `ProblemError` when it has ended by itself."""
        return Item(item.kind, _json_of(await self.request("POST", f"{item.url}/cancel")))

    async def reprocess(self, item: Item, **wishes: str | None) -> Item:
        """Have an item read again, with another `engine` or `language`, and return it."""
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        answer = await self.request("POST", f"{item.url}/reprocess", json=wishes, headers=headers)
        return Item(item.kind, _json_of(answer))

    async def revisions(self, item: Item) -> list[dict[str, Any]]:
        """Return the last results that an item has had, the newest first."""
        found: list[dict[str, Any]] = _json_of(await self.request("GET", f"{item.url}/revisions"))["items"]
        return found

    async def result(self, item: Item, revision: int | None = None) -> dict[str, Any]:
        """Return the canonical result: the last one, or the one of that number."""
        params = {"format": "json", **({"revision": revision} if revision else {})}
        return _json_of(await self.request("GET", f"{item.url}/result", params=params))

    async def result_text(self, item: Item) -> str:
        """Return the result as plain text."""
        return (await self.request("GET", f"{item.url}/result", params={"format": "text"})).text

    async def send(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """Send one request as this user and return the answer, whatever it is; `options` are those of httpx."""
        return await self.http.request(method, path, headers=(headers or {}) | await self.authorization(), **options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        upload: Path | None = None,
        tries: int = 8,
    ) -> httpx.Response:
        """Send a request and return a good answer. Raises `ProblemError` for any other.

        When the gateway is busy, what can be sent again is sent again, after the time that it asks for.
        """
        while True:
            tries -= 1
            response = await self._send(method, path, json=json, params=params, headers=headers or {}, upload=upload)
            if response.is_success:
                return response
            again = method == "GET" or "Idempotency-Key" in (headers or {}) or response.status_code == 429
            if response.status_code not in _PATIENT or not again or not tries:
                raise ProblemError(response)
            await asyncio.sleep(min(float(response.headers.get("Retry-After", "1")), 30))

    async def _send(
        self,
        method: str,
        path: str,
        *,
        json: Any,
        params: dict[str, Any] | None,
        headers: dict[str, str],
        upload: Path | None,
    ) -> httpx.Response:
        headers = headers | await self.authorization()
        if upload is None:
            return await self.http.request(method, path, json=json, params=params, headers=headers)
        with upload.open("rb") as file:
            files = {"file": (upload.name, file, _media_type(upload))}
            return await self.http.request(method, path, params=params, headers=headers, files=files)

    async def authorization(self) -> dict[str, str]:
        """Return the header of a signed-in user, with a token that lives; nothing before the first sign-in."""
        if not self._tokens:
            return {}
        async with self._renewing:
            if time.monotonic() > self._expires:
                body = {"refresh_token": self._tokens["refresh_token"]}
                answer = await self.http.post("/v1/auth/refresh", json=body)
                if not answer.is_success:
                    raise ProblemError(answer)
                self._take_tokens(answer)
        return {"Authorization": f"Bearer {self._tokens['access_token']}"}

    def _take_tokens(self, answer: httpx.Response) -> None:
        self._tokens = answer.json()
        # With a fifth of its life left, so that a request under way does not outlive its token.
        self._expires = time.monotonic() + float(self._tokens["expires_in"]) * 0.8

    async def _pages(self, project_id: str, kind: Kind) -> AsyncIterator[Item]:
        cursor = ""
        while True:
            params = {"limit": 200, **({"cursor": cursor} if cursor else {})}
            page = _json_of(await self.request("GET", f"/v1/projects/{project_id}/{kind}", params=params))
            for data in page["items"]:
                yield Item(kind, data)
            cursor = page.get("next_cursor") or ""
            if not cursor:
                return


def _media_type(path: Path) -> str:
    known = _MEDIA_TYPES.get(path.suffix.lower())
    return known or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
