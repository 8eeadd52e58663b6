"""SubRip. It has no standard; readers agree on numbered cues, a comma before the milliseconds and a blank line."""

import re

from alta_common.contracts.results import TranscriptResult
from alta_projects.formats.cues import Cue, cues_of

_ARROW = re.compile("--+>")


def srt(result: TranscriptResult) -> str:
    r"""Return the transcript as SubRip captions.

    Lines end in `\n`, not in the CRLF of the first SubRip: every present reader takes both. A transcript without words
    has no cues, and is empty.
    """
    return "\n".join(_cue(number, cue) for number, cue in enumerate(cues_of(result), 1))


def _cue(number: int, cue: Cue) -> str:
    # SubRip cannot escape; an arrow is the one thing that would be taken for the next cue.
    text = _ARROW.sub("->", "\n".join(cue.lines))
    return f"{number}\n{_time(cue.start_ms)} --> {_time(cue.end_ms)}\n{text}\n"


def _time(moment_ms: int) -> str:
    seconds, milliseconds = divmod(moment_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{milliseconds:03}"
