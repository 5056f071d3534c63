r"""GoEmotions' splits: text TAB comma-separated label ids TAB comment id; no header, no quoting.

    >>> parse_line("Thanks, that made my day!\t15,17\ted0001", 1)
    ('Thanks, that made my day!', (15, 17), 'ed0001')

Reads any directory with train.tsv, dev.tsv and test.tsv in that form. Whether the content is fit to train on is the
quality gate's question, not this file's.
"""

import dataclasses
import hashlib
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eqn.corpus.contract import KNOWN_ROWS, LABEL_IDS, SPLITS
from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused, UsageError
from eqn.records import CorpusRef

_MAX_FAULTS = 20
_LABEL_IDS_AS_WRITTEN = re.compile("[0-9]{1,4}(,[0-9]{1,4})*")


@dataclasses.dataclass(frozen=True, slots=True)
class Split:
    """One split of a labelled corpus; the three tuples run in parallel."""

    name: str
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    """Label ids of each row, in canonical order."""
    sealed: bool = False
    """Whether the labels are kept for the final report; see `eqn.evaluation.final`."""

    def __len__(self) -> int:
        return len(self.ids)

    def opened(self) -> "Split":
        """Give the split with its labels to be read."""
        return dataclasses.replace(self, sealed=False)

    def part(self, rows: NDArray[np.int64]) -> "Split":
        """Give some rows as a split of the same name."""
        chosen: list[int] = rows.tolist()
        return dataclasses.replace(
            self,
            ids=tuple(self.ids[row] for row in chosen),
            texts=tuple(self.texts[row] for row in chosen),
            labels=tuple(self.labels[row] for row in chosen),
        )

    def targets(self) -> NDArray[np.float32]:
        """Give the labels as a (rows, 28) array of 0 and 1.

        Raises:
            PermissionError: the split is sealed; nothing is to be chosen by its labels.

        """
        if self.sealed:
            raise PermissionError(f"the labels of {self.name} are sealed: only the final report reads them")
        matrix = np.zeros((len(self), len(EMOTIONS)), dtype=np.float32)
        for row, labels in enumerate(self.labels):
            matrix[row, list(labels)] = 1.0
        return matrix


@dataclasses.dataclass(frozen=True, slots=True)
class Corpus:
    """A labelled corpus in memory, and the reference that identifies it."""

    ref: CorpusRef
    train: Split
    dev: Split
    test: Split

    def split(self, name: str) -> Split:
        """Give the split called `name`.

        Raises:
            UsageError: there is no such split.

        """
        if name not in SPLITS:
            raise UsageError(f"expected a split among {', '.join(SPLITS)}; got {name!r}.")
        split: Split = getattr(self, name)
        return split


def load_corpus(directory: Path, *, name: str = "") -> Corpus:
    """Read the three splits of `directory`.

    Raises:
        UsageError: a split is missing.
        DataRefused: lines cannot be read; the message names up to twenty of them and counts all.

    """
    paths = {split: directory / f"{split}.tsv" for split in SPLITS}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        came = "which is not a directory" if not directory.is_dir() else f"which lacks {', '.join(missing)}"
        raise UsageError(
            f"expected the splits train.tsv, dev.tsv and test.tsv in {directory}, {came}.",
            todo="Point --data (or EQN_GOEMOTIONS) to the directory that holds them.",
        )
    contents = {split: path.read_bytes() for split, path in paths.items()}
    faults: list[str] = []
    splits = {split: _parse(split, paths[split].name, content, faults) for split, content in contents.items()}
    faults += [f"{paths[split].name} has no rows" for split, content in contents.items() if not content.strip()]
    if faults:
        more = [f"... and {len(faults) - _MAX_FAULTS} more"] * (len(faults) > _MAX_FAULTS)
        raise DataRefused(
            f"expected lines of text TAB label ids TAB comment id in {directory}; {len(faults)} fault(s):",
            faults=faults[:_MAX_FAULTS] + more,
            todo="Correct these lines, or fetch the files again.",
        )
    rows = {split: len(read) for split, read in splits.items()}
    ref = CorpusRef(name=name or _name(directory, rows), path=str(directory), digest=_digest(contents), rows=rows)
    splits["test"] = dataclasses.replace(splits["test"], sealed=True)
    return Corpus(ref=ref, **splits)


def parse_line(line: str, number: int) -> tuple[str, tuple[int, ...], str]:
    """Read one line; `number` is only for the message.

    Raises:
        ValueError: the line has not three fields, or a label is not one of the ids 0 to 27.

    """
    fields = line.split("\t")
    if len(fields) != 3:
        raise ValueError(f"line {number}: expected 3 fields, got {len(fields)}")
    text, written, identifier = fields
    if not _LABEL_IDS_AS_WRITTEN.fullmatch(written):  # int() alone would also read 1_5 and foreign digits
        raise ValueError(f"line {number}: expected label ids such as 3,27, got {written[:40]!r}")
    labels = sorted({int(label) for label in written.split(",")})
    foreign = [label for label in labels if label not in LABEL_IDS]
    if foreign:
        raise ValueError(f"line {number}: expected label ids 0 to {LABEL_IDS[-1]}, got {foreign}")
    return text, tuple(labels), identifier


def _parse(split: str, file: str, content: bytes, faults: list[str]) -> Split:
    rows = []
    # Not splitlines(): a comment may hold a form feed or U+2028, which are no line ends here.
    for number, raw in enumerate(content.split(b"\n"), start=1):
        if not raw.strip(b" \r"):
            continue
        try:
            rows.append(parse_line(raw.removesuffix(b"\r").decode("utf-8"), number))
        except UnicodeDecodeError:
            faults.append(f"{file}, line {number}: not UTF-8")
        except ValueError as error:
            faults.append(f"{file}, {error}")
    texts, labels, ids = zip(*rows, strict=True) if rows else ((), (), ())
    return Split(name=split, ids=ids, texts=texts, labels=labels)


def _digest(contents: dict[str, bytes]) -> str:
    whole = hashlib.sha256()
    for split in SPLITS:
        whole.update(hashlib.sha256(contents[split]).digest())
    return whole.hexdigest()


def _name(directory: Path, rows: dict[str, int]) -> str:
    known = [name for name, counts in KNOWN_ROWS.items() if counts == rows]
    return known[0] if known else directory.resolve().name
