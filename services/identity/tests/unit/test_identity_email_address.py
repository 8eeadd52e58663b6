import pytest
from hypothesis import given
from hypothesis import strategies as st

from alta_common.errors import InvalidError
from alta_identity.models.email_address import EmailAddress

ATOMS = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=20
)
DOMAINS = st.sampled_from(["example.com", "Example.TEST", "mail.example.org", "bücher.example", "alta.internal"])


@given(local=ATOMS, domain=DOMAINS)
def test_an_address_is_itself_however_it_is_written(local, domain):
    address = EmailAddress.parse(f"{local}@{domain}")

    assert EmailAddress.parse(f"{local.swapcase()}@{domain.upper()}").key == address.key
    assert EmailAddress.parse(address.address) == address
    assert address.address.isascii()
    assert address.address.casefold().startswith(local.casefold() + "@")


@given(text=st.text(max_size=400))
def test_what_is_no_address_is_refused_by_name_and_never_crashes(text):
    if EmailAddress.parse_or_none(text) is None:
        with pytest.raises(InvalidError) as refused:
            EmailAddress.parse(text)
        assert [field.pointer for field in refused.value.errors] == ["/email"]


@pytest.mark.parametrize(
    "text",
    ["", "ada", "ada@", "@example.com", "ada@localhost", "ada@@example.com", "a b@example.com", "ada@example.com\n",
     "Ada <ada@example.com>", "ädä@example.com", "ada@1.2.3.4", "ada@[127.0.0.1]", '"a b"@example.com'],
)  # fmt: skip
def test_addresses_that_mail_does_not_reach_are_refused(text):
    with pytest.raises(InvalidError):
        EmailAddress.parse(text)


def test_an_international_domain_is_kept_as_servers_know_it():
    assert EmailAddress.parse("Ada@BÜCHER.example").address == "Ada@xn--bcher-kva.example"


def test_the_words_of_an_address_are_those_that_a_password_must_not_be_made_of():
    assert EmailAddress.parse("Grace.Hopper@navy.example").words == ["grace.hopper", "navy"]
