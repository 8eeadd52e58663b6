"""WebVTT (www.w3.org/TR/webvtt1)."""

from html import escape

from alta_common.contracts.results import TranscriptResult
from alta_projects.formats.cues import Cue, cues_of


def vtt(result: TranscriptResult) -> str:
    """Return the transcript as WebVTT captions; who speaks is a voice tag, where the engine told speakers apart."""
    return "WEBVTT\n" + "".join(f"\n{_cue(cue)}" for cue in cues_of(result))


def _cue(cue: Cue) -> str:
    voice = f"<v {escape(cue.speaker, quote=False)}>" if cue.speaker else ""
    text = escape("\n".join(cue.lines), quote=False)
    return f"{_time(cue.start_ms)} --> {_time(cue.end_ms)}\n{voice}{text}\n"


def _time(moment_ms: int) -> str:
    seconds, milliseconds = divmod(moment_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{milliseconds:03}"
