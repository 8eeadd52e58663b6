from pathlib import Path

import pytest

from alta_common.engines.port import InputError
from alta_transcription.engines.media import require_recording

RECORDINGS = {
    "wav": b"RIFF\x00\x00\x00\x00WAVEfmt ",
    "avi": b"RIFF\x00\x00\x00\x00AVI LIST",
    "rf64": b"RF64\xff\xff\xff\xffWAVEds64",
    "flac": b"fLaC\x00\x00\x00\x22",
    "ogg": b"OggS\x00\x02",
    "mp3 with tags": b"ID3\x04\x00",
    "mp3": b"\xff\xfb\x90\x64",
    "adts": b"\xff\xf1\x50\x80",
    "m4a": b"\x00\x00\x00\x20ftypM4A ",
    "webm": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm",
    "aiff": b"FORM\x00\x00\x00\x00AIFF",
    "amr": b"#!AMR\n",
    "wma": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    "caf": b"caff\x00\x01",
    "au": b".snd\x00\x00",
}

OTHERS = {
    "text": b"This is a letter, not a recording.",
    "html": b"<!doctype html><html>",
    "a playlist": b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
    "a session description": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n",
    "a concat script": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "zip": b"PK\x03\x04\x14\x00",
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "utf-16 text": b"\xff\xfeh\x00e\x00",
    "pdf": b"%PDF-1.7",
    "elf": b"\x7fELF\x02\x01",
    "webp": b"RIFF\x00\x00\x00\x00WEBPVP8 ",
}


@pytest.mark.parametrize("kind", RECORDINGS)
def test_recordings_are_known_by_their_first_bytes(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_bytes(RECORDINGS[kind])

    require_recording(tmp_path / "file.txt")


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_recording_is_refused_whatever_it_is_called(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file.wav").write_bytes(OTHERS[kind])

    with pytest.raises(InputError) as refusal:
        require_recording(tmp_path / "file.wav")

    assert refusal.value.code == "unsupported_media_type"


def test_an_empty_file_is_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "file.wav").touch()

    with pytest.raises(InputError) as refusal:
        require_recording(tmp_path / "file.wav")

    assert refusal.value.code == "corrupt_file"
