import asyncio
import contextlib
import threading
import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alta_common.errors import UnavailableError
from alta_identity.models.errors import PasswordRefusedError
from alta_identity.security.password_rules import MAX_CHARACTERS, PasswordRules, common_passwords, normalised
from alta_identity.security.passwords import Argon2Cost, Passwords
from alta_identity.security.peppers import Peppers
from alta_identity.security.pool import BoundedPool

SECRET = "a pepper that is only for tests"
OTHER = "another pepper that is for tests"
CHEAP = Argon2Cost(memory_kib=8, passes=1)
OWN = ["ada.lovelace", "example", "Ada Lovelace"]


@pytest.fixture
def pool():
    pool = BoundedPool(threads=2, queue_limit=timedelta(minutes=1))
    yield pool
    pool.close()


def refusal(password, own_words=()):
    with pytest.raises(PasswordRefusedError) as refused:
        PasswordRules().check(password, list(own_words))
    [field] = refused.value.errors
    assert field.pointer == "/password"
    return field.detail


@pytest.mark.parametrize(
    "password",
    [
        "violet-kettle-orbit-93",
        "correct horse battery staple",
        "Zx9#mQ2$vL7p",
        "пароль-чайник-орбита",
        "🐢🐢🐢 kelp tundra wharf",
        "k" * 20 + "violet kettle orbit tundra",
        "4@8({[<3691!|7$5%+20" * 6,
    ],
)
def test_good_passwords_pass(password):
    PasswordRules().check(password, OWN)


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short-one-9", "at least 12"),
        ("violet kettle " * 10, "at most 128"),
        ("passwordpassword", "common"),
        ("PasswordPassword", "common"),
        ("ada.lovelace!!", "your own name"),
        ("lovelace-ada-example", "your own name"),
        ("LOVELACE LOVELACE", "your own name"),
        ("abcdefghijklmnop", "Sequences"),
        ("aaaaaaaaaaaaaaaa", "Repeats"),
        ("qwertyuiop[]", "keyboard"),
    ],
)
def test_bad_passwords_are_refused_with_the_reason(password, said):
    assert said in refusal(password, OWN)


def test_a_long_password_is_not_good_by_length_alone():
    refusal("a" * MAX_CHARACTERS)
    refusal("abc" * 40)


def test_length_is_counted_in_characters_after_normalisation():
    # One ligature is three letters in NFKC; eight emoji are eight characters, however many bytes.
    assert "it has 8 characters" in refusal("🐢🦀🐙🦑🐬🐳🦈🐊")
    PasswordRules().check("\ufb03" * 2 + "kelp-tundra", [])


def test_the_common_ones_are_thirty_thousand():
    assert len(common_passwords()) == 30_000
    assert "trustno1" in common_passwords()


@given(password=st.text(alphabet="4@8({[<3691!|7$5%+20abcxyz", min_size=12, max_size=128))
@settings(max_examples=40)
def test_judging_takes_bounded_time_and_never_crashes(password):
    begun = time.process_time()

    with contextlib.suppress(PasswordRefusedError):
        PasswordRules().check(password, OWN)

    # What is not bounded takes hours.
    assert time.process_time() - begun < 30


async def test_a_hash_verifies_its_password_only(pool):
    passwords = Passwords(pool, Peppers({1: SECRET}), CHEAP)

    stored = await passwords.hash("violet-kettle-orbit-93")

    assert await passwords.verify("violet-kettle-orbit-93", stored)
    assert not await passwords.verify("violet-kettle-orbit-94", stored)
    assert await passwords.hash("violet-kettle-orbit-93") != stored


async def test_nobody_has_the_dummy_hash(pool):
    passwords = Passwords(pool, Peppers({1: SECRET}), CHEAP)

    assert not await passwords.verify("anything", None)


async def test_a_hash_is_worthless_without_its_pepper(pool):
    stored = await Passwords(pool, Peppers({1: SECRET}), CHEAP).hash("violet-kettle-orbit-93")

    other = Passwords(pool, Peppers({1: OTHER}), CHEAP)

    assert not await other.verify("violet-kettle-orbit-93", stored)
    with pytest.raises(ValueError, match="pepper 1"):
        await Passwords(pool, Peppers({2: OTHER}), CHEAP).verify("violet-kettle-orbit-93", stored)


async def test_hashes_of_older_peppers_and_parameters_are_outdated(pool):
    stored = await Passwords(pool, Peppers({1: SECRET}), CHEAP).hash("x")

    assert not Passwords(pool, Peppers({1: SECRET}), CHEAP).is_outdated(stored)
    assert Passwords(pool, Peppers({1: SECRET, 2: OTHER}), CHEAP).is_outdated(stored)
    assert Passwords(pool, Peppers({1: SECRET}), Argon2Cost(memory_kib=16, passes=1)).is_outdated(stored)


@given(password=st.text(max_size=100))
def test_normalising_twice_changes_nothing(password):
    assert normalised(normalised(password)) == normalised(password)


@given(parts=st.lists(st.text(max_size=8), max_size=4), others=st.lists(st.text(max_size=8), max_size=4))
def test_fingerprints_differ_where_anything_differs(parts, others):
    peppers = Peppers({1: SECRET})

    assert (peppers.fingerprint(*parts) == peppers.fingerprint(*others)) == (parts == others)


async def test_work_that_would_wait_too_long_is_refused_at_once():
    pool = BoundedPool(threads=1, queue_limit=timedelta(hours=1), expected=timedelta(minutes=40))
    release = threading.Event()
    running = [asyncio.create_task(pool.run(release.wait)) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(UnavailableError):
        await pool.run(release.wait)

    release.set()
    assert await asyncio.gather(*running) == [True, True]
    pool.close()


async def test_work_that_did_wait_too_long_is_refused():
    pool = BoundedPool(threads=1, queue_limit=timedelta(milliseconds=200), expected=timedelta(0))
    release = threading.Event()
    running = asyncio.create_task(pool.run(release.wait))
    await asyncio.sleep(0)

    with pytest.raises(UnavailableError):
        await pool.run(release.wait)

    release.set()
    assert await running
    assert await pool.run(int, 7) == 7
    pool.close()


async def test_a_caller_who_hangs_up_frees_the_thread_only_when_the_work_is_over():
    pool = BoundedPool(threads=1, queue_limit=timedelta(minutes=1))
    started, release = threading.Event(), threading.Event()

    def work():
        started.set()
        return release.wait(60)

    abandoned = asyncio.create_task(pool.run(work))
    await asyncio.to_thread(started.wait, 60)
    abandoned.cancel()
    with pytest.raises(asyncio.CancelledError):
        await abandoned
    waiting = asyncio.create_task(pool.run(int, 7))
    done, _ = await asyncio.wait([waiting], timeout=0.05)

    assert not done
    release.set()
    assert await waiting == 7
    pool.close()


async def test_an_error_of_the_work_reaches_its_caller_and_frees_the_thread(pool):
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            await pool.run(divmod, 1, 0)

    assert await pool.run(int, 7) == 7
