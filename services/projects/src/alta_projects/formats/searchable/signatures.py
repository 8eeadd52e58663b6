"""Digital signatures, which vouch for bytes that a copy with a text layer does not have."""

from collections.abc import Iterator

from pikepdf import Array, Dictionary, Name, Object, Pdf

_DEEPEST_FIELD = 20


def remove_signatures(pdf: Pdf) -> None:
    """Take the signatures out of a PDF that has been changed, so that no viewer calls it tampered with.

    What they look like on the page stays. Who needs them has them in the original.
    """
    form = pdf.Root.get("/AcroForm")
    if isinstance(form, Dictionary):
        for field in _fields(form.get("/Fields"), depth=0):
            if field.get("/FT") == Name.Sig and "/V" in field:
                del field["/V"]
        if "/SigFlags" in form:
            del form["/SigFlags"]
    for key in ("/Perms", "/DSS"):
        if key in pdf.Root:
            del pdf.Root[key]


def _fields(fields: Object | None, depth: int) -> Iterator[Dictionary]:
    if not isinstance(fields, Array) or depth > _DEEPEST_FIELD:
        return
    for field in fields:
        if isinstance(field, Dictionary):
            yield field
            yield from _fields(field.get("/Kids"), depth + 1)
