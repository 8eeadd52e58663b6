"""Mail addresses in the one form in which all services know them, so that an invitation meets its account."""

from email_validator import EmailNotValidError, validate_email


def canonical_address(text: str) -> str:
    """Return the address in `text` with an ASCII (IDNA) domain in lower case; the local part stays as it was typed.

    The local part must be ASCII: few servers deliver others (SMTPUTF8), and look-alike letters would make two
    accounts that a person cannot tell apart. Reserved test domains (RFC 2606) are fine; DNS is not asked. Raises
    `ValueError` with a sentence that says what is wrong.
    """
    try:
        found = validate_email(
            text, check_deliverability=False, allow_smtputf8=False, test_environment=True, strict=True
        )
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    return f"{found.ascii_local_part or found.local_part}@{found.ascii_domain.lower()}"
