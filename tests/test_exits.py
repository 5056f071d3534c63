"""How a program ends: one message and an exit code, a traceback for bugs only."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eqn.errors import DataRefused, EqnError, StorageFull, StoreUnavailable, UsageError
from eqn.exits import complain, ending, translated

PROGRAM = """
import sys
from eqn.exits import ending

def talk():
    print("x" * 100_000 if sys.argv[1] == "much" else "x")
    return 0

sys.exit(ending(talk))
"""


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """Python keeps its output back, or does not."""
    return os.environ | {"PYTHONUNBUFFERED": request.param}


def raising(error: BaseException) -> Callable[[], int]:
    """Give an action that ends with `error`."""

    def act() -> int:
        raise error

    return act


@pytest.mark.parametrize("code", [0, 3])
def test_what_the_action_gives_is_the_exit_code(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an error nothing is added."""
    assert ending(lambda: code) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataRefused("expected rows.", todo="Add some."), 3, "eqn: expected rows.\nAdd some.\n"),
        (UsageError("expected a file."), 2, "eqn: expected a file.\n"),
        (KeyboardInterrupt(), 130, "eqn: interrupted. Run the same command again: finished work is kept.\n"),
    ],
)
def test_an_error_is_one_message_and_its_code(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person reads the sentence, on standard error, and no traceback."""
    assert ending(raising(error)) == code
    assert capsys.readouterr() == ("", message)


def test_a_bug_shows_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """What EQN did not foresee is exit code 1, with the lines that whoever mends it needs."""
    assert ending(raising(ZeroDivisionError("a bug"))) == 1

    err = capsys.readouterr().err
    assert "ZeroDivisionError: a bug" in err
    assert "Traceback" in err
    assert err.endswith("please report it with the lines above.\n")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EFBIG, StorageFull),
        (errno.EACCES, StoreUnavailable),
        (errno.EROFS, StoreUnavailable),
        (errno.ENOTDIR, StoreUnavailable),
        (errno.ENAMETOOLONG, StoreUnavailable),
        (errno.EIO, StoreUnavailable),
    ],
)
def test_what_the_storage_answers_is_told_in_our_words(number: int, kind: type[EqnError]) -> None:
    """Wherever it is met, a full or forbidden place is named and is no bug."""
    with pytest.raises(kind, match="/some/place") as told, translated():
        raise OSError(number, os.strerror(number), "/some/place")
    assert isinstance(told.value.__cause__, OSError)


def test_a_file_that_is_missing_is_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    """Files that people name are looked for before they are opened: one that is missing later is our fault."""
    assert ending(raising(FileNotFoundError(errno.ENOENT, "No such file", "/gone"))) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_missing_package_names_the_extra(capsys: pytest.CaptureFixture[str]) -> None:
    """Without the pipeline's packages a command says how to install them."""
    assert ending(raising(ModuleNotFoundError("No module named 'mlflow.tracking'", name="mlflow.tracking"))) == 2

    err = capsys.readouterr().err
    assert "'mlflow'" in err
    assert "eqn[pipeline]" in err


@pytest.mark.parametrize("name", ["eqn.nowhere", "", None])
def test_a_missing_module_of_our_own_is_a_bug(name: str | None) -> None:
    """Installing an extra would not help."""
    with pytest.raises(ModuleNotFoundError), translated():
        raise ModuleNotFoundError(name=name)


def test_a_message_cannot_give_the_terminal_orders(capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes in a file's name, and turned directions, are written out; letters of any script stay."""
    complain("expected rows in \x1b[31mred\u202e.csv, found\n\tnone: ü 日本")

    assert capsys.readouterr().err == "eqn: expected rows in \\x1b[31mred\\u202e.csv, found\n\tnone: ü 日本\n"


@pytest.mark.parametrize("amount", ["much", "little"])
def test_a_reader_that_has_gone_is_no_failure(environment: dict[str, str], amount: str) -> None:
    """`eqn ... | head -1` ends in silence, whether the pipe breaks while printing or at the end."""
    command = [sys.executable, "-c", PROGRAM, amount]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert program.stdout is not None
    program.stdout.close()

    assert program.wait(timeout=300) == 0
    assert program.stderr is not None
    assert program.stderr.read() == ""
    program.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT RUN: there is no /dev/full")
@pytest.mark.parametrize("amount", ["much", "little"])
def test_output_onto_a_full_disk_is_a_failure(environment: dict[str, str], amount: str) -> None:
    """What could not be written was not done: the exit code says so, once, without a traceback."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", PROGRAM, amount]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)

    assert done.returncode == 6
    assert done.stderr.startswith("eqn: expected room to write the output, but the storage is full")
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr
