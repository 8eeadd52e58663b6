"""The codes of failures are the same in the engines, in the API document and in docs/errors.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from alta_projects.api.error_codes import CODES, ERROR_CODES

ROOT = Path(__file__).parents[4]
ENGINES = ("services/ocr/src", "services/transcription/src", "libs/common/src/alta_common/engines")
# Which argument of what is called names the code.
NAMED_IN = {"EngineError": 0, "InputError": 0, "InputFault.of": 1}


def codes_of(source: str) -> Iterator[str]:
    """Yield the codes of the failures that a module speaks of."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (place := NAMED_IN.get(ast.unparse(node.func))) is not None:
            code = node.args[place]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                yield code.value


def test_every_code_of_an_engine_is_in_the_api_document() -> None:
    files = [file for folder in ENGINES for file in (ROOT / folder).rglob("*.py")]

    raised = {code for file in files for code in codes_of(file.read_text())}

    assert {"corrupt_file", "password_protected", "no_audio", "timeout"} <= raised
    assert raised <= CODES.keys()
    assert all(f"`{code}`" in ERROR_CODES for code in raised)


def test_every_code_is_explained_in_the_docs() -> None:
    page = (ROOT / "docs/errors.md").read_text().partition("## Warnings")[0]

    assert set(re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)) == CODES.keys()
