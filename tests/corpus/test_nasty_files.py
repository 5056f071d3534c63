"""The nasty files as the reader takes them: each is refused, or its rows are accounted for to the last one."""

from pathlib import Path

import pytest

from eqn.corpus.inputs import find_inputs
from eqn.corpus.quarantine import quarantine_table
from eqn.corpus.reader import read_batches, scan
from eqn.errors import EqnError
from tests.corpus.nasty import FILES, Nasty
from tests.faults.promises import Trials


@pytest.mark.promise(21)
@pytest.mark.parametrize("file", FILES, ids=[file.about.replace(" ", "-") for file in FILES])
def test_every_nasty_file_has_its_exact_outcome(tmp_path: Path, file: Nasty, trials: Trials) -> None:
    """Refused with the exit code that says why and with its name, or taken with an exact count for each reason."""
    (tmp_path / file.name).write_bytes(file.content)
    if isinstance(file.outcome, int):
        with pytest.raises(EqnError) as caught:
            scan(*find_inputs([str(tmp_path)]))
        assert caught.value.exit_code == file.outcome
        assert f"{file.name}: " in str(caught.value)
        assert "expected " in str(caught.value)
    else:
        (found,) = find_inputs([str(tmp_path)])
        scanned = scan(found)
        assert (scanned.accepted, dict(scanned.quarantined)) == file.outcome
        batches = list(read_batches(found, scanned, batch_rows=2))
        shown = [row for batch in batches for row in quarantine_table(file.name, batch.quarantined).to_pylist()]
        assert sum(batch.table.num_rows for batch in batches) == scanned.accepted
        reasons = [row["reason"] for row in shown]
        assert {reason: reasons.count(reason) for reason in scanned.quarantined} == file.outcome[1]
    trials(1, "files")
