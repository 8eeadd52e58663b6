"""Taking an older invisible text layer out of a page that has been read again: else everything would be found twice."""

from collections.abc import Iterator
from typing import Any

import pikepdf
from pikepdf import Dictionary, Name, Object, Operator, Page, Pdf, Stream

from alta_projects.formats.searchable.placement import copied, own_resources

_INVISIBLE = 3
_DEEPEST_FORM = 4
_DATA_KEYS = ("/Length", "/Filter", "/DecodeParms", "/DL")


def remove_invisible_text(pdf: Pdf, page: Page) -> None:
    """Remove the text that is shown in no way (render mode 3) from a page and from the forms that it draws.

    All else stays and looks the same: such text paints nothing and clips nothing, and what makes such layers gives each
    of their words a place of its own, so that nothing visible hangs on where the word before it ended.
    """
    resources = own_resources(page)
    page.obj.Contents = pdf.make_stream(_Filter(pdf, resources, 0).filtered(page, mode=0))


class _Filter:
    """Filters a content stream. `resources` are changed: forms are replaced by copies, as other pages may draw them."""

    def __init__(self, pdf: Pdf, resources: Dictionary, depth: int) -> None:
        self._pdf = pdf
        self._resources = resources
        self._depth = depth
        self._done: set[str] = set()

    def filtered(self, content: Page | Object, mode: int) -> bytes:
        return pikepdf.unparse_content_stream(list(self._kept(content, mode)))

    def _kept(self, content: Page | Object, mode: int) -> Iterator[Any]:
        saved: list[int] = []
        for instruction in pikepdf.parse_content_stream(content):
            operands, operator = instruction.operands, str(instruction.operator)
            match operator:
                case "q":
                    saved.append(mode)
                case "Q":
                    mode = saved.pop() if saved else mode
                case "Tr":
                    mode = int(operands[0]) if operands else mode
                case "Do":
                    self._copy_form(str(operands[0]) if operands else "", mode)
                case "Tj" | "TJ" | "'" | '"' if mode == _INVISIBLE:
                    yield from _without_text(operator, list(operands))
                    continue
            yield instruction

    def _copy_form(self, name: str, mode: int) -> None:
        form = self._resources.XObject.get(name)
        if not isinstance(form, Stream) or form.get("/Subtype") != Name.Form:
            return
        if name in self._done or self._depth >= _DEEPEST_FORM:
            return
        self._done.add(name)
        own = copied(form.get("/Resources", self._resources))
        own.XObject = copied(own.get("/XObject"))
        copy = self._pdf.make_stream(_Filter(self._pdf, own, self._depth + 1).filtered(form, mode))
        for key, value in form.items():
            if key not in _DATA_KEYS:
                copy[key] = value
        copy.Resources = own
        self._resources.XObject[name] = copy


def _without_text(operator: str, operands: list[Any]) -> Iterator[tuple[list[Any], Operator]]:
    """Yield what else an operator does that shows text: `'` and `"` begin a new line (ISO 32000-2, 9.4.3)."""
    if operator == '"' and len(operands) > 1:
        yield [operands[0]], Operator("Tw")
        yield [operands[1]], Operator("Tc")
    if operator in "'\"":
        yield [], Operator("T*")
