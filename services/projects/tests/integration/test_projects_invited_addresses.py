"""Addresses of invitations: spelled as those of accounts, or the two would never meet."""

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (" New.One@Example.ORG ", "new.one@example.org"),
        ("new@bücher.example", "new@xn--bcher-kva.example"),
        ("new@alta.test", "new@alta.test"),
    ],
)
async def test_an_address_is_kept_as_identity_tells_it(ada: Any, written: str, shown: str) -> None:
    project = await ada.project()

    made = await ada.http.post(f"/v1/projects/{project['id']}/members", json={"email": written, "role": "viewer"})

    assert (made.status_code, made.json()["email"]) == (201, shown)
