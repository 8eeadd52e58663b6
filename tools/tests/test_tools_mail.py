"""The mail catcher, through its two real doors: SMTP and HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from email.message import EmailMessage

import aiosmtplib
import httpx
import pytest

from alta_stack.mail.api import create_app
from alta_stack.mail.mailbox import Mailbox
from alta_stack.mail.smtp import new_protocol

Send = Callable[..., Awaitable[None]]


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox(capacity=3)


@pytest.fixture
async def http(mailbox: Mailbox) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(mailbox))
    async with httpx.AsyncClient(transport=transport, base_url="http://mail") as client:
        yield client


@pytest.fixture
async def send(mailbox: Mailbox) -> AsyncIterator[Send]:
    server = await asyncio.get_running_loop().create_server(lambda: new_protocol(mailbox), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def send_mail(
        to: str, subject: str = "Hello", *, blind: str | None = None, password: str | None = None
    ) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "Alta <no-reply@alta.example>", to, subject
        mail["Message-ID"] = "<1@alta.example>"
        mail.set_content("Grüße aus dem Text.\n\nhttp://localhost:8000/verify-email#token=abc.def_-1\n")
        mail.add_alternative("<p>Grüße aus <b>HTML</b></p>", subtype="html")
        mail.add_attachment(b"\x00\x01", maintype="application", subtype="octet-stream", filename="two.bin")
        recipients = [to, blind] if blind else [to]
        login = {"username": "anybody", "password": password} if password else {}
        await aiosmtplib.send(
            mail, recipients=recipients, hostname="127.0.0.1", port=port, start_tls=False, use_tls=False, **login
        )

    async with server:
        yield send_mail


async def test_a_mail_sent_by_smtp_is_found_by_its_address_and_read(send: Send, http: httpx.AsyncClient) -> None:
    await send("Ada <ada@example.org>", "Verify your address", blind="archive@example.org")
    await send("bob@example.org")

    found = (await http.get("/api/v1/search", params={"query": "to:ada@example.org"})).json()
    message = (await http.get(f"/api/v1/message/{found['messages'][0]['ID']}")).json()

    assert (found["total"], found["unread"], found["messages_count"]) == (2, 2, 1)
    assert found["messages"][0]["Snippet"].startswith("Grüße aus dem Text.")
    assert found["messages"][0]["Attachments"] == 1
    assert message["From"] == {"Name": "Alta", "Address": "no-reply@alta.example"}
    assert message["To"] == [{"Name": "Ada", "Address": "ada@example.org"}]
    assert message["Bcc"] == [{"Name": "", "Address": "archive@example.org"}]
    assert "#token=abc.def_-1\n" in message["Text"].replace("\r\n", "\n")
    assert "<b>HTML</b>" in message["HTML"]
    assert message["Attachments"][0] | {"Size": 2, "FileName": "two.bin"} == message["Attachments"][0]


async def test_latest_is_the_newest_and_reading_marks_it_read(send: Send, http: httpx.AsyncClient) -> None:
    await send("one@example.org", "first")
    await send("two@example.org", "second")

    latest = (await http.get("/api/v1/message/latest")).json()

    assert latest["Subject"] == "second"
    assert (await http.get("/api/v1/info")).json()["Unread"] == 1
    assert (await http.get("/api/v1/search", params={"query": "is:unread"})).json()["messages_count"] == 1


async def test_the_list_pages_and_the_oldest_go_when_the_box_is_full(send: Send, http: httpx.AsyncClient) -> None:
    for number in range(4):
        await send("ada@example.org", f"number {number}")

    page = (await http.get("/api/v1/messages", params={"start": 1, "limit": 1})).json()
    everything = (await http.get("/api/v1/messages")).json()

    assert [mail["Subject"] for mail in page["messages"]] == ["number 2"]
    assert (page["total"], page["count"], page["start"]) == (3, 1, 1)
    assert [mail["Subject"] for mail in everything["messages"]] == ["number 3", "number 2", "number 1"]


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ('subject:"two words"', ["two words"]),
        ("-subject:two", ["other"]),
        ("from:no-reply@alta.example subject:other", ["other"]),
        ("Grüße", ["other", "two words"]),
        ("message-id:1@alta.example nowhere", []),
    ],
)
async def test_terms_narrow_a_search(send: Send, http: httpx.AsyncClient, query: str, subjects: list[str]) -> None:
    await send("ada@example.org", "two words")
    await send("ada@example.org", "other")

    found = (await http.get("/api/v1/search", params={"query": query})).json()

    assert [mail["Subject"] for mail in found["messages"]] == subjects


async def test_mails_are_deleted_by_id_or_all(send: Send, http: httpx.AsyncClient) -> None:
    await send("ada@example.org", "kept")
    await send("ada@example.org", "gone")
    gone = (await http.get("/api/v1/message/latest")).json()["ID"]

    await http.request("DELETE", "/api/v1/messages", json={"IDs": [gone]})
    left = (await http.get("/api/v1/messages")).json()["messages"]
    await http.request("DELETE", "/api/v1/messages")

    assert [mail["Subject"] for mail in left] == ["kept"]
    assert (await http.get("/api/v1/messages")).json()["total"] == 0
    assert (await http.get(f"/api/v1/message/{gone}")).status_code == 404


async def test_any_user_and_password_are_right(send: Send, http: httpx.AsyncClient) -> None:
    await send("ada@example.org", password="whatever")

    assert (await http.get("/api/v1/info")).json()["Messages"] == 1


async def test_the_pages_show_a_mail_without_running_it(send: Send, http: httpx.AsyncClient) -> None:
    await send("ada@example.org", "<script>alert(1)</script>")
    mail_id = (await http.get("/api/v1/message/latest")).json()["ID"]

    inbox = (await http.get("/")).text
    text = await http.get(f"/view/{mail_id}.txt")
    page = await http.get("/view/latest.html")

    assert "&lt;script&gt;alert(1)" in inbox
    assert "<script>" not in inbox
    assert "Grüße aus dem Text." in text.text
    assert "sandbox" in page.headers["Content-Security-Policy"]
