from dataclasses import dataclass
from typing import Self

from alta_common.addresses import canonical_address
from alta_common.errors import FieldError, InvalidError


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An address in the form that mail is sent to, and the key that makes it unique.

    `address` has an ASCII (IDNA) domain and keeps the letters of the local part as they were typed; `key` ignores
    their case, because no provider that people use tells `Ada@` from `ada@`, and impostors would.
    """

    address: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address in `text`. Raises `InvalidError` that says what is wrong with it."""
        try:
            address = canonical_address(text)
        except ValueError as error:
            raise InvalidError(
                "this is not an address that mail can be sent to", [FieldError("/email", str(error))]
            ) from error
        return cls(address=address, key=address.casefold())

    @classmethod
    def parse_or_none(cls, text: str) -> Self | None:
        """Return the address in `text`, or None where a malformed one must look like an unknown one."""
        try:
            return cls.parse(text)
        except InvalidError:
            return None

    @property
    def words(self) -> list[str]:
        """Return the parts of the address that a password must not be made of."""
        local, _, domain = self.key.partition("@")
        return [local, domain.split(".")[0]]
