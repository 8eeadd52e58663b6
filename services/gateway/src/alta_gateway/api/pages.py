"""The pages for people: each one file with its script and style inside, under a policy that names their hashes."""

import base64
import hashlib
from importlib.resources import files

from alta_gateway.answers import Answer
from alta_gateway.exchange import Exchange


class Page:
    """A page from `files/<name>.html`, with `<name>.css` and `<name>.js` written into it."""

    def __init__(self, name: str) -> None:
        folder = files("alta_gateway.api") / "files"
        style = (folder / f"{name}.css").read_text("utf-8")
        script = (folder / f"{name}.js").read_text("utf-8")
        html = (folder / f"{name}.html").read_text("utf-8")
        html = html.replace("/*style*/", style).replace("/*script*/", script)
        policy = (
            f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; connect-src 'self'; "
            "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        self._answer = Answer(
            200,
            [
                (b"content-type", b"text/html; charset=utf-8"),
                (b"content-security-policy", policy.encode()),
                (b"cache-control", b"no-cache"),
            ],
            html.encode(),
        )

    async def __call__(self, _exchange: Exchange) -> Answer:
        """Return the page."""
        return self._answer


async def to_docs(_exchange: Exchange) -> Answer:
    """`GET /`: the reference is the best front page that there is."""
    return Answer(307, [(b"location", b"/docs")])


def _hash(text: str) -> str:
    # Exactly what stands between the tags (CSP level 3, section 8.5).
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
