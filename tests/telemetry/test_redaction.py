"""What is taken out of messages, and which causes of errors are left out."""

import pytest

from eqn.errors import StoreUnavailable
from eqn.exits import ending
from eqn.settings import secrets_in_environment
from eqn.telemetry.redaction import MASK, masked, presentable


@pytest.mark.parametrize(
    ("name", "value", "kept_secret"),
    [
        ("AWS_SECRET_ACCESS_KEY", "long-enough-1", "long-enough-1"),
        ("PREFECT_API_AUTH_STRING", "someone:long-enough-2", "long-enough-2"),
        ("EQN_TRACKING_URI", "postgresql://someone:long%2Fenough-3@host/db", "long/enough-3"),
        ("EQN_TRACKING_URI", "postgresql://someone:long%2Fenough-3@host/db", "long%2Fenough-3"),
        ("EQN_PUSHGATEWAY_URL", "http://:long-enough-4@host", "long-enough-4"),
        ("AWS_ENDPOINT_URL", "someone:long-enough-5@host", "long-enough-5"),
        ("EQN_TRACKING_URI", "postgresql://someone:long/enough-6@host/db", "long/enough-6"),
        ("EQN_TRACKING_URI", "http://someone:long@enough-7@host:x/", "long@enough-7"),
    ],
    ids=range(8),  # pytest puts ids into the environment
)
def test_secrets_are_known_by_their_variables(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, kept_secret: str
) -> None:
    """By the variable's name, and wherever an address holds a password, as it is written there and as it is meant."""
    assert kept_secret not in secrets_in_environment()
    monkeypatch.setenv(name, value)

    assert kept_secret in secrets_in_environment()
    assert masked(f"a {kept_secret} b", secrets_in_environment()) == f"a {MASK} b"


def test_a_secret_across_the_end_is_taken_out_whole() -> None:
    """Of a huge text only the beginning is kept, and no beginning of a secret with it."""
    for place in range(1_980, 2_010):
        assert "long" not in masked("x" * place + "long-enough-8" + "y" * 100, ["long-enough-8"])


def test_ordinary_addresses_and_short_words_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(secrets_in_environment())
    for name, value in (
        ("A", "http://host:8480/a@b"),
        ("B", "me@host.example"),
        ("MY_TOKEN", "none"),
        ("C", "/a:b/c@d"),
    ):
        monkeypatch.setenv(name, value)

    assert set(secrets_in_environment()) == before


@pytest.mark.parametrize(
    "told",
    [
        "cannot reach http://me:long-enough@host/",
        "{'Authorization': 'Basic c29tZW9uZTpjYW5hcnk='}",
        "the value long-enough-6 is wrong",
        "x" * 10_000,
    ],
)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_an_error_that_tells_a_secret_is_no_cause(monkeypatch: pytest.MonkeyPatch, told: str, depth: int) -> None:
    """Nor one that has it from another error; what is too long to be looked at counts as telling."""
    monkeypatch.setenv("MY_TOKEN", "long-enough-6")
    error: BaseException = ValueError(told)
    for _ in range(depth):
        outer = OSError("it did not work")
        outer.__context__ = error
        error = outer

    assert presentable(error) is None


def test_any_other_error_stays_the_cause() -> None:
    error = OSError("connection refused by http://host:9000")
    error.__cause__ = ValueError("no route")

    assert presentable(error) is error


def test_a_bug_is_told_without_its_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The traceback that people send along: of the bug, and of what it came from."""
    monkeypatch.setenv("MY_TOKEN", "long-enough-7")

    def bug() -> int:
        raise RuntimeError("with long-enough-7") from StoreUnavailable("http://me:a-password@host")

    assert ending(bug) == 1

    told = capsys.readouterr().err
    assert "Traceback (most recent call last)" in told
    assert f"RuntimeError: with {MASK}" in told
    assert f"http://{MASK}@host" in told
    assert "long-enough-7" not in told
