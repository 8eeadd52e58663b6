"""Only the relay and `alta_common.outbox` know the outbox tables."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[4]
TABLES = re.compile(r"\boutbox_(event|events|pending|parked)\b")
KNOWING = ("libs/common/src/alta_common/outbox/", "services/outbox-relay/")


def test_nobody_else_names_an_outbox_table() -> None:
    sources = [*CHECKOUT.glob("libs/*/src/**/*.py"), *CHECKOUT.glob("services/*/src/**/*.py")]
    sources += CHECKOUT.glob("services/*/migrations/**/*.py")
    names = {str(path.relative_to(CHECKOUT)): path for path in sources}
    assert any(name.startswith(KNOWING) for name in names)

    naming = [name for name, path in names.items() if TABLES.search(path.read_text(encoding="utf-8"))]

    assert [name for name in naming if not name.startswith(KNOWING)] == []
