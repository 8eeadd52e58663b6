"""Which requests are refused before anybody looks at what they ask for.

llhttp itself (strict since 9.x) refuses CL with TE, several or odd CLs, obs-fold, bare CR and LF, NUL and control
characters in headers, a space before the colon. What it lets through is refused here. Sources: RFC 9112 sections 2.2,
3.2, 6.1 and 6.3 (request smuggling), RFC 9110 section 7.2 (Host).
"""

import re
from typing import NoReturn
from urllib.parse import unquote_to_bytes, urlsplit

from alta_gateway.answers import RawHeaders, Refusal

# reg-name or IPv4 address, or an IPv6 address in brackets; a port. No user info, nothing empty.
_HOST = re.compile(rb"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_HIDDEN = re.compile(rb"%(?:00|2[fF]|5[cC])")
_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NO_TUNNELS = (b"CONNECT", b"TRACE")


def bad_request(detail: str, code: str = "bad_request") -> NoReturn:
    """Refuse with 400."""
    raise Refusal(400, code, detail)


def check_head(version: str, method: bytes, headers: RawHeaders) -> bytes:
    """Return the Host. Raises `Refusal` for a head that another parser might read differently."""
    _check_version(version)
    if method in _NO_TUNNELS:
        allow = [(b"allow", b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")]
        raise Refusal(405, "method_not_allowed", f"{method.decode()} is not possible here.", allow)
    hosts: list[bytes] = []
    for name, value in headers:
        if b"_" in name:
            bad_request("Header names with an underscore are not accepted.")
        if name == b"host":
            hosts.append(value)
            if not _HOST.fullmatch(value):
                bad_request("The Host header is malformed.")
        elif name == b"transfer-encoding":
            _check_coding(version, value)
    if len(hosts) != 1:
        bad_request("A request names exactly one Host.")
    return hosts[0]


def _check_version(version: str) -> None:
    if version == "0.9":
        bad_request("The request line names no HTTP version.")
    if version not in ("1.1", "1.0"):
        raise Refusal(505, "http_version_not_supported", "This server speaks HTTP/1.1.")


def _check_coding(version: str, coding: bytes) -> None:
    if version == "1.0":
        bad_request("HTTP/1.0 knows no Transfer-Encoding.")
    if coding.lower() != b"chunked":
        raise Refusal(501, "transfer_encoding_not_supported", "The only transfer coding here is chunked.")


def decoded_path(raw_path: bytes) -> str:
    """Return the path that routes are found by. Raises `Refusal` for one that could be read as another."""
    if b"%" in raw_path:
        if _HIDDEN.search(raw_path) or _ESCAPE.search(raw_path):
            bad_request("The path holds an escape that is not accepted: %00, %2F, %5C or a malformed one.")
        try:
            path = unquote_to_bytes(raw_path).decode()
        except UnicodeDecodeError:
            bad_request("The path is not UTF-8.")
    else:
        path = raw_path.decode("ascii")
    if "\\" in path or any(character < " " or character == "\x7f" for character in path):
        bad_request("The path holds a character that is not accepted.")
    if "/." in path and not {".", ".."}.isdisjoint(path.split("/")):
        bad_request("The path holds . or .. segments.")
    return path


def origin_form(method: bytes, target: bytes, host: bytes) -> bytes:
    """Return a request target, given in origin, absolute or asterisk form, in origin form (RFC 9112 section 3.2)."""
    if b"#" in target:
        bad_request("A request target has no fragment.")
    if target.startswith(b"/"):
        return target
    if target == b"*" and method == b"OPTIONS":
        return b"/"
    try:
        parts = urlsplit(target)
    except ValueError:
        bad_request("The request target is malformed.")
    if parts.scheme.lower() not in (b"http", b"https") or parts.netloc.lower() != host.lower():
        bad_request("The request target does not belong to the Host.")
    return (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")


def host_name(host: bytes) -> str:
    """Return a Host header without its port, in lower case."""
    text = host.decode("ascii").lower()
    return text[: text.index("]") + 1] if text.startswith("[") else text.partition(":")[0]
