"""One form of an address for all services."""

import pytest

from alta_common.addresses import canonical_address


@pytest.mark.parametrize(
    ("typed", "known_as"),
    [
        ("Ada@Example.COM", "Ada@example.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@mail.test", "ada@mail.test"),
    ],
)
def test_an_address_has_one_form(typed: str, known_as: str) -> None:
    assert canonical_address(typed) == known_as


@pytest.mark.parametrize(
    "typed", ["", "ada", "ada@", "@example.com", "a da@example.com", "ädä@example.com", "ada@example.com\n"]
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_address(typed)
