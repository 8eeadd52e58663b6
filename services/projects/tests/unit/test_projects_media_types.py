"""A file is what its first bytes say."""

import pytest

from alta_common.contracts.media_types import DOCUMENT_TYPES, VOICE_TYPES, recognise
from alta_projects.models.media_types import describe

DOCUMENTS = {
    b"%PDF-1.4\n": "application/pdf",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff\xe0\x00\x10JFIF": "image/jpeg",
    b"II*\x00\x08\x00\x00\x00": "image/tiff",
    b"MM\x00*\x00\x00\x00\x08": "image/tiff",
    b"II+\x00\x08\x00\x00\x00": "image/tiff",
    b"RIFF\x00\x00\x00\x00WEBPVP8 ": "image/webp",
    b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic": "image/heic",
    b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic": "image/heic",
}
VOICES = {
    b"RIFF\x24\x00\x00\x00WAVEfmt ": "audio/wav",
    b"RF64\xff\xff\xff\xffWAVEds64": "audio/wav",
    b"fLaC\x00\x00\x00\x22": "audio/flac",
    b"OggS\x00\x02": "audio/ogg",
    b"ID3\x04\x00\x00": "audio/mpeg",
    b"\xff\xfb\x90\x64": "audio/mpeg",
    b"\xff\xfa\x90\x64": "audio/mpeg",
    b"\xff\xf3\x38\xc4": "audio/mpeg",
    b"\xff\xe3\x38\xc4": "audio/mpeg",
    b"\xff\xf1\x60\x40": "audio/aac",
    b"\x00\x00\x00\x1cftypM4A ": "audio/mp4",
    b"\x00\x00\x00\x1cftypisom": "audio/mp4",
    b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm": "audio/webm",
    b"FORM\x00\x00\x00\x00AIFFCOMM": "audio/aiff",
    b"#!AMR\n<": "audio/amr",
    b"\xff\xfd\x90\x64": "audio/mpeg",
    b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska": "video/matroska",
    b"\x00\x00\x00\x08wide\x00\x01\xff\xffmdat": "video/quicktime",
    b"RIFF\x00\x00\x00\x00AVI LIST": "video/x-msvideo",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c": "audio/x-ms-wma",
    b"\x0b\x77\x1f\x2e\x14\x40": "audio/ac3",
    b".snd\x00\x00\x00\x20": "audio/basic",
    b"caff\x00\x01\x00\x00": "audio/x-caf",
    b"riff\x2e\x91\xcf\x11\xa5\xd6": "audio/x-w64",
}


@pytest.mark.parametrize(("head", "media_type"), DOCUMENTS.items())
def test_a_document_is_recognised(head: bytes, media_type: str) -> None:
    assert recognise(head, DOCUMENT_TYPES) == media_type
    assert recognise(head, VOICE_TYPES) is None


@pytest.mark.parametrize(("head", "media_type"), VOICES.items())
def test_a_recording_is_recognised(head: bytes, media_type: str) -> None:
    assert recognise(head, VOICE_TYPES) == media_type
    assert recognise(head, DOCUMENT_TYPES) is None


@pytest.mark.parametrize(
    ("head", "seems"),
    [
        (b"Dear Sir or Madam,\nthis is text.", "plain text"),
        ("Ünïcödé, cut in the middle of a letter: é".encode()[:-1], "plain text"),
        (b"PK\x03\x04\x14\x00\x00\x00" + bytes(40), "application/zip"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"  <svg xmlns='http://www.w3.org/2000/svg'>", "SVG"),
        (b"<?xml version='1.0'?>", "XML"),
        (b"\x7fELF\x02\x01\x01" + bytes(60), "application/x-executable"),
        (b"GIF89a" + bytes(20), "image/gif"),
        (b"\x00\x01\x02\x03", "unknown data"),
        (b"\xff\xff\xff\xff", "unknown data"),
        # Junk before the magic: pdfium would open it, we would not know what else it is.
        (b"\xef\xbb\xbfjunk %PDF-1.7", "plain text"),
        (b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00mif1avif", "image/avif"),
        (b"feelfree to write to me", "plain text"),
        (b"\x0b\x77\x00\x00\xff\xff", "unknown data"),
    ],
)
def test_anything_else_is_refused_by_its_true_name(head: bytes, seems: str) -> None:
    assert recognise(head, DOCUMENT_TYPES + VOICE_TYPES) is None
    assert describe(head) == seems


@pytest.mark.parametrize("head", [b"\xff", b"\xff\xfb", b"\xff\xfb\xf0", b"\xff\xfb\x0c", b"R", b"RIFF", b""])
def test_too_few_bytes_are_nothing(head: bytes) -> None:
    assert recognise(head, DOCUMENT_TYPES + VOICE_TYPES) is None
