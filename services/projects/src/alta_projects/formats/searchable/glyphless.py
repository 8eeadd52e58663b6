"""A font that draws nothing: it gives invisible text its widths and its Unicode (ISO 32000-2, 9.7 and 9.10).

As Tesseract and OCRmyPDF do it, but the font is our own: two glyphs without ink, made here. Codes are handed out in
the order of need, so that a character outside of the BMP, or one with combining marks, is a code like any other.
"""

import struct
import unicodedata
from collections.abc import Iterator, Sequence

from pikepdf import Array, Dictionary, Name, Object, Pdf, String

ADVANCE = 0.5
"""Width of every character, in font sizes."""
DESCENT = 0.2
"""How far the letters reach below the baseline, in font sizes; 1 is from there to their top."""

_UNITS = 1000
_NAME = "AltaGlyphless"
_MOST_CODES = 0xFFFF
_MOST_MAPPINGS = 100
"""Of one block of a ToUnicode map (Adobe Technical Note 5014)."""


def clusters(text: str) -> Iterator[str]:
    """Yield the characters of `text`, each with the combining marks and joiners that follow it."""
    start = 0
    for i, character in enumerate(text):
        if i > start and unicodedata.category(character) not in {"Mn", "Me", "Cf"}:
            yield text[start:i]
            start = i
    if text:
        yield text[start:]


class GlyphlessFont:
    """The font of one document."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def encode(self, characters: Sequence[str]) -> bytes:
        """Return the codes of `characters` (clusters), two bytes each."""
        return b"".join(self._code(character).to_bytes(2, "big") for character in characters)

    def fill(self, pdf: Pdf, font: Object) -> None:
        """Write the font into `font`, an empty dictionary of `pdf` that pages refer to already."""
        codes = len(self._codes) + 1
        descriptor = Dictionary(
            Type=Name.FontDescriptor,
            FontName=Name("/" + _NAME),
            FontFile2=pdf.make_stream(_true_type()),
            Flags=5,  # fixed pitch, symbolic
            FontBBox=Array([0, _of_em(-DESCENT), _of_em(ADVANCE), _of_em(1 - DESCENT)]),
            Ascent=_of_em(1 - DESCENT),
            Descent=_of_em(-DESCENT),
            CapHeight=_of_em(1 - DESCENT),
            ItalicAngle=0,
            StemV=_of_em(ADVANCE),
        )
        descendant = Dictionary(
            Type=Name.Font,
            Subtype=Name.CIDFontType2,
            BaseFont=Name("/" + _NAME),
            CIDSystemInfo=Dictionary(Registry=String("Adobe"), Ordering=String("Identity"), Supplement=0),
            FontDescriptor=pdf.make_indirect(descriptor),
            DW=_of_em(ADVANCE),
            CIDToGIDMap=pdf.make_stream(b"\x00\x01" * codes),
        )
        font.Type = Name.Font
        font.Subtype = Name.Type0
        font.BaseFont = Name("/" + _NAME)
        font.Encoding = Name("/Identity-H")
        font.DescendantFonts = Array([pdf.make_indirect(descendant)])
        font.ToUnicode = pdf.make_stream(self._to_unicode())

    def _code(self, character: str) -> int:
        code = self._codes.get(character)
        if code is None:
            # Two bytes name 65,535 characters; whatever a book has beyond that is one of them that says so.
            character = character if len(self._codes) < _MOST_CODES - 1 else "\ufffd"
            code = self._codes.setdefault(character, len(self._codes) + 1)
        return code

    def _to_unicode(self) -> bytes:
        lines = [
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
            "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
            "1 begincodespacerange <0000> <FFFF> endcodespacerange",
        ]
        mappings = [f"<{code:04X}> <{_utf_16(text)}>" for text, code in self._codes.items()]
        for start in range(0, len(mappings), _MOST_MAPPINGS):
            block = mappings[start : start + _MOST_MAPPINGS]
            lines += [f"{len(block)} beginbfchar", *block, "endbfchar"]
        lines.append("endcmap CMapName currentdict /CMap defineresource pop end end")
        return "\n".join(lines).encode("ascii")


def _of_em(share: float) -> int:
    return round(share * _UNITS)


def _utf_16(text: str) -> str:
    return text.encode("utf-16-be", "replace").hex().upper()


def _true_type() -> bytes:
    """Return a TrueType font with two glyphs without ink and the tables that a PDF needs of it (ISO 32000-2, 9.9.2)."""
    advance, top, bottom = _of_em(ADVANCE), _of_em(1 - DESCENT), _of_em(-DESCENT)
    glyph = _glyph(0, bottom, advance, top)
    tables = {
        # Version, revision, checksum and magic; flags, units; made on day 0; box; style, size, direction, loca, glyf.
        b"head": struct.pack(
            ">IIIIHHQQhhhhHHhhh",
            *(0x10000, 0x10000, 0, 0x5F0F3CF5, 3, _UNITS, 0, 0),
            *(0, bottom, advance, top, 0, 8, 2, 0, 0),
        ),
        # Version, ascent, descent, gap, widest; no bearings; a caret; four times nothing; format, metrics.
        b"hhea": struct.pack(">IhhhHhhhhhhhhhhhH", 0x10000, top, bottom, 0, advance, 0, 0, 0, 1, *(0,) * 7, 1),
        # Version; glyphs; points and contours of a glyph; zones; the rest is about instructions and composites.
        b"maxp": struct.pack(">IH13H", 0x10000, 2, 2, 2, 0, 0, 1, *(0,) * 8),
        b"hmtx": struct.pack(">Hhh", advance, 0, 0),
        b"loca": struct.pack(">HHH", 0, 0, len(glyph) // 2),
        b"glyf": glyph,
    }
    directory = struct.pack(">IHHHH", 0x10000, len(tables), 64, 2, 32)
    body = b""
    for tag, table in sorted(tables.items()):
        directory += struct.pack(">4sIII", tag, _checksum(table), 12 + 16 * len(tables) + len(body), len(table))
        body += table + bytes(-len(table) % 4)
    return directory + body


def _glyph(left: int, bottom: int, right: int, top: int) -> bytes:
    """Return a glyph of two single points in opposite corners: nothing to draw, but with a box.

    pdfium leaves out text whose glyphs have none, where it is one letter or runs up the page.
    """
    contours = struct.pack(">hhhhhHHH", 2, left, bottom, right, top, 0, 1, 0)
    return contours + struct.pack(">BBhhhh", 1, 1, left, right - left, bottom, top - bottom) + bytes(2)


def _checksum(table: bytes) -> int:
    padded = table + bytes(-len(table) % 4)
    words: tuple[int, ...] = struct.unpack(f">{len(padded) // 4}I", padded)
    return sum(words) & 0xFFFFFFFF
