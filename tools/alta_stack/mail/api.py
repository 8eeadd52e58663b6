"""Mailpit's HTTP API over the mailbox (https://mailpit.axllent.org/docs/api-v1/), and a small page to read mails."""

import email.message
import json
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from alta_stack.mail import pages
from alta_stack.mail.mailbox import Mail, Mailbox

# What a mail brings along runs nothing and reaches nothing here.
_SANDBOX = {
    "Content-Security-Policy": "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
}


def create_app(mailbox: Mailbox) -> Starlette:
    """Return the HTTP application of the mail catcher."""
    api = _Api(mailbox)
    return Starlette(
        routes=[
            Route("/", api.inbox),
            Route("/livez", api.alive),
            Route("/readyz", api.alive),
            Route("/view/{id}.{kind}", api.view),
            Route("/api/v1/info", api.info),
            Route("/api/v1/messages", api.messages, methods=["GET"]),
            Route("/api/v1/messages", api.delete, methods=["DELETE"]),
            Route("/api/v1/messages", api.mark, methods=["PUT"]),
            Route("/api/v1/search", api.search, methods=["GET"]),
            Route("/api/v1/search", api.delete_found, methods=["DELETE"]),
            Route("/api/v1/message/{id}", api.message),
            Route("/api/v1/message/{id}/headers", api.headers),
            Route("/api/v1/message/{id}/raw", api.raw),
            Route("/api/v1/message/{id}/part/{part:int}", api.part),
        ]
    )


class _Api:
    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def alive(self, _: Request) -> Response:
        return PlainTextResponse("ok")

    async def inbox(self, request: Request) -> Response:
        query = request.query_params.get("query", "")
        return HTMLResponse(pages.inbox(self._mailbox.search(query), query))

    async def view(self, request: Request) -> Response:
        mail = self._mail(request)
        if request.path_params["kind"] == "txt":
            return PlainTextResponse(mail.text)
        if request.path_params["kind"] == "html":
            return HTMLResponse(mail.html or pages.as_page(mail.text), headers=_SANDBOX)
        raise HTTPException(HTTPStatus.NOT_FOUND)

    async def info(self, _: Request) -> Response:
        mails = self._mailbox.newest_first()
        unread = sum(not mail.read for mail in mails)
        return JSONResponse(
            {
                "Version": "alta-mail 1",
                "LatestVersion": "alta-mail 1",
                "Database": "memory",
                "DatabaseSize": sum(len(mail.raw) for mail in mails),
                "Messages": len(mails),
                "Unread": unread,
                "Tags": {},
            }
        )

    async def messages(self, request: Request) -> Response:
        return self._page(request, self._mailbox.newest_first())

    async def search(self, request: Request) -> Response:
        return self._page(request, self._mailbox.search(_query(request)))

    async def delete(self, request: Request) -> Response:
        ids = (await _body(request)).get("IDs") or []
        if ids:
            self._mailbox.delete(ids)
        else:
            self._mailbox.clear()
        return PlainTextResponse("ok")

    async def delete_found(self, request: Request) -> Response:
        self._mailbox.delete([mail.id for mail in self._mailbox.search(_query(request))])
        return PlainTextResponse("ok")

    async def mark(self, request: Request) -> Response:
        body = await _body(request)
        ids = set(body.get("IDs") or [])
        for mail in self._mailbox.newest_first():
            if not ids or mail.id in ids:
                mail.read = bool(body.get("Read"))
        return PlainTextResponse("ok")

    async def message(self, request: Request) -> Response:
        mail = self._mail(request)
        mail.read = True
        return JSONResponse(
            {
                **_addresses(mail),
                "ID": mail.id,
                "MessageID": mail.message_id,
                "ReturnPath": mail.envelope_from,
                "Subject": mail.subject,
                "Date": _time(mail),
                "Tags": [],
                "Text": mail.text,
                "HTML": mail.html,
                "Size": len(mail.raw),
                "Inline": [],
                "Attachments": [_attachment(number, part) for number, part in enumerate(mail.attachments)],
            }
        )

    async def headers(self, request: Request) -> Response:
        found: dict[str, list[str]] = {}
        for name, value in self._mail(request).parsed.items():
            found.setdefault(name, []).append(str(value))
        return JSONResponse(found)

    async def raw(self, request: Request) -> Response:
        return PlainTextResponse(self._mail(request).raw)

    async def part(self, request: Request) -> Response:
        parts = self._mail(request).attachments
        number = request.path_params["part"]
        if number >= len(parts):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return Response(_content(parts[number]), media_type="application/octet-stream")

    def _mail(self, request: Request) -> Mail:
        mail = self._mailbox.find(request.path_params["id"])
        if mail is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "message not found")
        return mail

    def _page(self, request: Request, mails: list[Mail]) -> Response:
        start, limit = _number(request, "start", 0), _number(request, "limit", 50)
        everything = self._mailbox.newest_first()
        shown = mails[start : start + limit]
        return JSONResponse(
            {
                "total": len(everything),
                "unread": sum(not mail.read for mail in everything),
                "count": len(shown),
                "messages_count": len(mails),
                "messages_unread": sum(not mail.read for mail in mails),
                "start": start,
                "tags": [],
                "messages": [_summary(mail) for mail in shown],
            }
        )


def _summary(mail: Mail) -> dict[str, Any]:
    return {
        **_addresses(mail),
        "ID": mail.id,
        "MessageID": mail.message_id,
        "Read": mail.read,
        "Subject": mail.subject,
        "Created": _time(mail),
        "Tags": [],
        "Size": len(mail.raw),
        "Attachments": len(mail.attachments),
        "Snippet": mail.snippet,
    }


def _addresses(mail: Mail) -> dict[str, Any]:
    return {
        "From": mail.sender,
        "To": mail.addresses("To"),
        "Cc": mail.addresses("Cc"),
        "Bcc": mail.bcc,
        "ReplyTo": mail.addresses("Reply-To"),
    }


def _attachment(number: int, part: email.message.EmailMessage) -> dict[str, Any]:
    return {
        "PartID": str(number),
        "FileName": part.get_filename() or "",
        "ContentType": part.get_content_type(),
        "ContentID": str(part.get("Content-ID", "")).strip("<>"),
        "Size": len(_content(part)),
    }


def _content(part: email.message.EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _time(mail: Mail) -> str:
    return mail.created.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _query(request: Request) -> str:
    query = request.query_params.get("query", "").strip()
    if not query:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "no search query")
    return query


def _number(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name, "")
    return int(value) if value.isdecimal() else default


async def _body(request: Request) -> dict[str, Any]:
    body = await request.body()
    try:
        values: dict[str, Any] = json.loads(body) if body else {}
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body is not JSON") from None
    return values
