import hashlib
import hmac

MIN_SECRET_CHARACTERS = 16


class Peppers:
    """Versioned secrets that are mixed into passwords before hashing and live outside the database.

    A stolen table of hashes is useless without them. Each hash names the version it was made with, so a new
    pepper comes into force account by account, at the next sign-in.
    """

    def __init__(self, secrets: dict[int, str]) -> None:
        """Take secrets by version; the highest is used for new hashes."""
        if not secrets:
            raise ValueError("a pepper is needed")
        for version, secret in secrets.items():
            if len(secret) < MIN_SECRET_CHARACTERS:
                raise ValueError(f"pepper {version} has fewer than {MIN_SECRET_CHARACTERS} characters")
        self._secrets = {version: secret.encode() for version, secret in secrets.items()}
        self.current = max(secrets)

    @classmethod
    def parse(cls, text: str) -> "Peppers":
        """Read `secret` (version 1) or `2:new,1:old`. Raises `ValueError` when it is neither."""
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if len(parts) == 1 and ":" not in parts[0]:
            return cls({1: parts[0]})
        secrets: dict[int, str] = {}
        for part in parts:
            version, colon, secret = part.partition(":")
            if not colon or not version.isdecimal() or int(version) in secrets:
                raise ValueError("a pepper is `secret`, or `version:secret` parts with a comma between them")
            secrets[int(version)] = secret
        return cls(secrets)

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
