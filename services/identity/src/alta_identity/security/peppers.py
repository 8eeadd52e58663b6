import hashlib
import hmac


class Peppers:
    """Versioned secrets that are mixed into passwords before hashing and live outside the database.

    A stolen table of hashes is useless without them. Each hash names the version it was made with, so a new
    pepper comes into force account by account, at the next sign-in.
    """

    def __init__(self, secrets: dict[int, str]) -> None:
        """Take secrets by version, one at least; the highest version is used for new hashes."""
        self._secrets = {version: secret.encode() for version, secret in secrets.items()}
        self.current = max(secrets)

    def knows(self, version: int) -> bool:
        """Say whether the secret of a version is configured."""
        return version in self._secrets

    def season(self, password: str, version: int) -> bytes:
        """Return what is hashed in place of the password."""
        return hmac.digest(self._secrets[version], b"password\0" + password.encode(), hashlib.sha256)

    def fingerprint(self, *parts: str) -> bytes:
        """Return a keyed SHA-256 of values too guessable for a plain one (a password, an address)."""
        message = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
        return hmac.digest(self._secrets[self.current], b"fingerprint\0" + message, hashlib.sha256)
