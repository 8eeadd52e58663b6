"""WebVTT (www.w3.org/TR/webvtt1)."""

from html import escape

from alta_common.contracts.results import TranscriptResult
from alta_projects.formats.cues import Cue, cues_of


def vtt(result: TranscriptResult) -> str:
    """Return the transcript as WebVTT captions; who speaks is a voice tag, where the engine told speakers apart."""
    return "WEBVTT\n" + "".join(f"\n{_cue(cue)}" for cue in cues_of(result))


def _cue(cue: Cue) -> str:
    if len(cue.speakers) == 1:
        text = _voice(cue.speakers[0]) + escape("\n".join(cue.lines), quote=False)
    else:
        text = "\n".join(_line(line, speaker) for line, speaker in zip(cue.lines, cue.speakers, strict=True))
    return f"{_time(cue.start_ms)} --> {_time(cue.end_ms)}\n{text}\n"


def _line(line: str, speaker: str | None) -> str:
    # Only a voice that is all of a cue need not be closed.
    return _voice(speaker) + escape(line, quote=False) + ("</v>" if speaker else "")


def _voice(speaker: str | None) -> str:
    return f"<v {escape(speaker, quote=False)}>" if speaker else ""


def _time(moment_ms: int) -> str:
    seconds, milliseconds = divmod(moment_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{milliseconds:03}"
