import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr, ValidationError

from alta_identity.settings import IdentitySettings

SECRET = "a pepper that is only for tests"
OTHER = "another pepper that is for tests"
KEY = Fernet.generate_key().decode()


def settings(**changed):
    values = {
        "postgres_user": "alta_identity",
        "postgres_password": SecretStr("x"),
        "redis_url": "redis://localhost",
        "mail_sealing_key": KEY,
        "identity_key_encryption_key": KEY,
        "identity_password_pepper": SECRET,
    }
    return IdentitySettings(**values | changed)


@pytest.mark.parametrize(
    ("text", "peppers"),
    [(SECRET, {1: SECRET}), (f"2:{OTHER}, 1:{SECRET}", {1: SECRET, 2: OTHER}), (f"7:{SECRET}", {7: SECRET})],
)
def test_peppers_are_read_from_text(text, peppers):
    assert settings(identity_password_pepper=text).password_peppers == peppers


@pytest.mark.parametrize(
    "text",
    [",", "short", f"{SECRET},{OTHER}", f"1:{SECRET},1:{OTHER}", f"x:{SECRET}", "1:short", f"2:{SECRET},{OTHER}"],
)
def test_malformed_peppers_are_refused_by_name(text):
    with pytest.raises(ValidationError, match="identity_password_pepper") as refused:
        settings(identity_password_pepper=text)

    assert SECRET not in " ".join(error["msg"] for error in refused.value.errors())


@pytest.mark.parametrize("name", ["identity_key_encryption_key", "mail_sealing_key"])
@pytest.mark.parametrize("text", [",", "malformed", f"{KEY},malformed"], ids=["comma", "malformed", "second"])
def test_malformed_encryption_keys_are_refused_by_name(name, text):
    with pytest.raises(ValidationError, match=name):
        settings(**{name: text})


def test_several_keys_are_read_newest_first():
    other = Fernet.generate_key().decode()

    assert settings(identity_key_encryption_key=f"{other}, {KEY}").key_encryption_keys == [other, KEY]


def test_every_setting_is_described():
    assert all(field.description for field in IdentitySettings.model_fields.values())
