"""The page that shows caught mails in a browser."""

from html import escape

from alta_stack.mail.mailbox import Mail

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
details { border-top: 1px solid #8884; padding: .6rem 0; }
summary { cursor: pointer; display: grid; grid-template-columns: 1fr 2fr 10rem; gap: 1rem; }
summary span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
pre { white-space: pre-wrap; background: #8881; padding: 1rem; border-radius: .4rem; }
small, time { color: #888; } time { text-align: right; }
input { font: inherit; width: 100%; padding: .4rem; box-sizing: border-box; }
"""


def inbox(mails: list[Mail], query: str) -> str:
    """Return the inbox as HTML."""
    rows = "\n".join(_row(mail) for mail in mails[:200])
    empty = "" if mails else "<p>No mails. What the services send to anybody arrives here.</p>"
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mail ({len(mails)})</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>
<h1>Caught mail</h1>
<form><input name="query" value="{escape(query)}" placeholder="to:ada@example.org  subject:verify  any words"
aria-label="Search"></form>
<p><small>{len(mails)} shown, none delivered. API: <a href="/api/v1/messages">/api/v1/messages</a>,
<code>/api/v1/search?query=to:…</code></small></p>
{rows}{empty}</body></html>"""


def as_page(text: str) -> str:
    """Return plain text as a page."""
    return f'<!doctype html><meta charset="utf-8"><pre>{escape(text)}</pre>'


def _row(mail: Mail) -> str:
    to = ", ".join(a["Address"] for a in [*mail.addresses("To"), *mail.bcc])
    return f"""<details><summary><span>{escape(to)}</span><span><b>{escape(mail.subject)}</b></span>
<time>{mail.created:%d %b %H:%M:%S}</time></summary>
<p><small>From {escape(mail.sender["Address"])} · <a href="/view/{mail.id}.html">HTML</a> ·
<a href="/view/{mail.id}.txt">text</a> · <a href="/api/v1/message/{mail.id}/raw">source</a></small></p>
<pre>{escape(mail.text)}</pre></details>"""
