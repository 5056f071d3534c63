"""`eqn store doctor`: a store is accepted or refused, for people and for machines."""

import functools
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eqn.store import doctor, s3
from tests.store import faults, servers
from tests.store.proxy import FaultProxy

Eqn = Callable[..., Any]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few keys, and no patience with faults that stay."""
    effort = {"keys": 3, "writers": 4, "listed": 10, "large": 100_000}
    monkeypatch.setattr(doctor, "examine", functools.partial(doctor.examine, **effort))
    monkeypatch.setattr(s3, "ATTEMPTS", 1)


CHECKS = [
    *("one winner", "existing key", "read after write", "read after overwrite", "read after delete", "listing"),
    *("folders", "copy", "server-side copy", "every byte", "odd keys", "large object", "clean up"),
]


def test_a_directory_is_accepted(eqn: Eqn, elsewhere: Path) -> None:
    """A table and a verdict on standard output, what is tried on standard error, nothing left behind."""
    done = eqn("store", "doctor", "releases")

    assert done.code == 0
    verdict = "releases kept everything that releases rest on, 13 checks: you can publish to it."
    assert done.out.splitlines()[-1] == verdict
    assert [check for check in CHECKS if f" {check} " not in done.out] == []
    assert (done.out.count(" yes  "), done.out.count(" no  ")) == (13, 0)
    assert done.err.splitlines() == [f"trying: {check} ..." for check in CHECKS]
    assert list(Path("releases").iterdir()) == []


def test_the_store_of_the_settings_is_meant_unless_another_is_named(
    eqn: Eqn, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines get one value with every check."""
    default = eqn("store", "doctor", "--json").json()
    monkeypatch.setenv("EQN_STORE", str(tmp_path / "mine"))
    mine = eqn("store", "doctor", "--json").json()

    assert (default["store"], mine["store"]) == (str(tmp_path / "home/releases"), str(tmp_path / "mine"))
    assert mine["sound"] is True
    assert [check["name"] for check in mine["checks"]] == CHECKS
    assert {tuple(check) for check in mine["checks"]} == {("name", "passed", "what", "seconds")}
    assert {check["passed"] for check in mine["checks"]} == {True}


def test_an_s3_store_is_accepted_and_a_liar_refused(
    eqn: Eqn, moto_server: servers.Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 5, every fault with its reason, and the verdict of each check all the same.

    That a service cannot be trusted to copy by itself, as moto's, is said and no fault.
    """
    bucket = servers.fresh_store(moto_server, monkeypatch).bucket
    accepted = eqn("store", "doctor", f"s3://{bucket}/releases", "--json")
    [copies] = [check for check in accepted.json()["checks"] if check["name"] == "server-side copy"]
    assert (accepted.code, copies["passed"]) == (0, True)
    assert copies["what"].endswith("is read and sent again: it ignores If-None-Match on a copy.")

    with FaultProxy(moto_server.endpoint) as proxy:
        proxy.add(faults.ignored_condition, header="If-None-Match")
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        people, machine = (eqn("store", "doctor", f"s3://{bucket}/releases", *json) for json in ([], ["--json"]))

    assert (people.code, machine.code) == (5, 5)
    for done in (people, machine):
        said = done.err[done.err.index("eqn: ") :].splitlines()
        assert said[0] == f"eqn: expected s3://{bucket}/releases to keep what releases rest on; 3 of 13 checks failed."
        assert said[1].startswith("  - one winner: Two writers of one key were both told that they wrote it (3 of 3")
        assert said[2].startswith("  - existing key: A key that was there was written again: the store ignores")
        assert said[3].startswith("  - copy: A copy to a key that was taken said otherwise.")
        assert said[4].startswith("Do not publish to it.")
        assert len(said) == 5
    assert "you can publish" not in people.out
    assert (people.out.count(" yes  "), people.out.count(" no  ")) == (10, 3)
    assert machine.json()["sound"] is False
    assert [check["name"] for check in machine.json()["checks"] if not check["passed"]] == [*CHECKS[:2], "copy"]


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_a_service_that_nobody_runs_is_named(
    eqn: Eqn, json: list[str], moto_server: servers.Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, what to do, and nothing on standard output."""
    servers.point_to(moto_server, monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    done = eqn("store", "doctor", "s3://bucket/releases", *json)

    assert (done.code, done.out) == (5, "")
    sentence, todo = done.err.splitlines()
    assert sentence.startswith("eqn: expected to use s3://bucket/releases/_doctor/")
    assert sentence.endswith(f" at {endpoint}, but the service cannot be reached.")
    assert todo.startswith("Check AWS_ENDPOINT_URL")


def test_a_place_that_can_be_no_store_is_named(eqn: Eqn, elsewhere: Path) -> None:
    """A directory below a file; an address that EQN does not know."""
    Path("file").touch()
    below, unknown = (eqn("store", "doctor", uri) for uri in ("file/store", "ftp://host/store"))

    assert (below.code, below.out) == (5, "")
    assert "eqn: expected to read and write file/store/_doctor" in below.err
    assert (unknown.code, unknown.out) == (2, "")
    assert "ftp://" in unknown.err


def test_files_get_into_the_inbox(eqn: Eqn, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under their own names, whole; where one is no file, none is copied."""
    (elsewhere / "a.csv").write_text("text\nhello\n", "utf-8")
    monkeypatch.setenv("EQN_INBOX", str(elsewhere / "inbox"))

    assert eqn("store", "put", "a.csv").code == 0
    assert (elsewhere / "inbox" / "a.csv").read_text("utf-8") == "text\nhello\n"
    refused = eqn("store", "put", "a.csv", "none.csv", "--to", "other")
    assert (refused.code, "none.csv: no such file" in refused.err) == (2, True)
    assert not (elsewhere / "other").exists()
