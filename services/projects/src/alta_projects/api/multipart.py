"""Reading `multipart/form-data` as a stream: fields are kept, the file goes through piece by piece (RFC 7578)."""

import unicodedata
from collections import deque
from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from alta_common.errors import FieldError, InvalidError, UnsupportedMediaTypeError
from alta_projects.api.problems import MalformedUploadError

MAX_FIELD_BYTES = 64 * 1024
MAX_FIELDS = 20
MAX_FILENAME = 255

FILE_FIELD = "file"


class MultipartUpload:
    """One form with one file in it. Call `open`, use up `chunks`, call `finish`.

    Python-multipart's parser calls back for each event; what it finds in one chunk of the body waits here until it is
    asked for, which is never more than that chunk.
    """

    def __init__(self, content_type: str | None, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._parser = MultipartParser(_boundary(content_type), self._callbacks())  # type: ignore[arg-type]
        self._headers: dict[str, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._field: tuple[str, bytearray] | None = None
        self._is_in_file = False
        self._pieces: deque[bytes] = deque()
        self._is_complete = False
        self._problem: InvalidError | None = None
        self.filename: str | None = None
        self.fields: dict[str, str] = {}

    async def open(self) -> str:
        """Read as far as the file's beginning and return its name, made safe to show and to keep."""
        while self.filename is None:
            if not await self._read_on():
                raise _wrong("/" + FILE_FIELD, f"the form has no file in a part named `{FILE_FIELD}`")
        return self.filename

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the file's bytes."""
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if not self._is_in_file or not await self._read_on():
                return

    async def finish(self) -> dict[str, str]:
        """Read to the end of the form and return the fields that came before and behind the file."""
        while await self._read_on():
            pass
        return self.fields

    async def _read_on(self) -> bool:
        """Read another chunk of the body; return False at its end. Raises what is wrong with the form."""
        chunk = await anext(self._body, None)
        if chunk is None:
            if not self._is_complete:
                raise MalformedUploadError("the form ends before its closing boundary")
            return False
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedUploadError(f"the body is not a form of the announced boundary: {error}") from error
        if self._problem is not None:
            raise self._problem
        return True

    def _callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header_name.decode("latin-1").lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        name = _decoded(options.get(b"name", b""))
        if name == FILE_FIELD:
            self._begin_file(options.get(b"filename"))
        elif name in self.fields or len(self.fields) >= MAX_FIELDS:
            self._refuse("/" + name, "the form has this field twice, or too many fields")
        else:
            self._field = (name, bytearray())

    def _begin_file(self, filename: bytes | None) -> None:
        if self.filename is not None:
            self._refuse("/" + FILE_FIELD, "the form has more than one file; send one request for each")
        elif not filename:
            self._refuse("/" + FILE_FIELD, "the part has no filename; it must be sent as a file")
        else:
            self._is_in_file = True
            self.filename = safe_filename(_decoded(filename))
            if not self.filename or len(self.filename) > MAX_FILENAME:
                self._refuse("/" + FILE_FIELD, f"a file's name has 1 to {MAX_FILENAME} characters")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_in_file:
            self._pieces.append(data[start:end])
        elif self._field is not None:
            name, value = self._field
            value += data[start:end]
            if len(value) > MAX_FIELD_BYTES:
                self._refuse("/" + name, f"a field has {MAX_FIELD_BYTES} bytes at the most")
                value.clear()

    def _on_part_end(self) -> None:
        if self._field is not None:
            name, value = self._field
            try:
                self.fields[name] = value.decode()
            except UnicodeDecodeError:
                self._refuse("/" + name, "a field must be UTF-8")
            self._field = None
        self._is_in_file = False

    def _on_end(self) -> None:
        self._is_complete = True

    def _refuse(self, pointer: str, detail: str) -> None:
        """Remember the first thing that is wrong: a callback is no place to raise, the parser would be left inside."""
        self._problem = self._problem or _wrong(pointer, detail)


def safe_filename(name: str) -> str:
    """Return the last part of a name that may be a path of any system, without what cannot be seen."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(one for one in last if one.isprintable() or unicodedata.category(one) == "Zs").strip()
    return "" if shown in {".", ".."} else shown


def _boundary(content_type: str | None) -> bytes:
    media_type, options = parse_options_header(content_type)
    if media_type != b"multipart/form-data":
        raise UnsupportedMediaTypeError("send the file as multipart/form-data, in a part named `file`")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:  # noqa: PLR2004  RFC 2046 section 5.1.1
        raise MalformedUploadError("Content-Type names no boundary of 1 to 70 characters")
    return boundary


def _decoded(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _wrong(pointer: str, detail: str) -> InvalidError:
    return InvalidError(detail, [FieldError(pointer, detail)])
