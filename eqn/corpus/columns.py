"""Which column is the text, which the id, and which are carried along; refusals when the file has them not."""

import collections
import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN
from eqn.errors import DataRefused

_SHOWN_NAMES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column that is neither text nor id and goes with its row."""

    name: str
    """Its name in the tables read: the file's, or `input_<name>` where that would collide with `id` or `text`."""
    source: str
    """Its name in the file."""
    type: Any
    """Its `pyarrow.DataType`: string for text formats, its own for Parquet."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """The names under which the caller looks for text and id."""

    text: str = TEXT_COLUMN
    id: str = ID_COLUMN

    @property
    def id_optional(self) -> bool:
        """True for the default name: a file without that column gets ids from its texts."""
        return self.id == ID_COLUMN


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """Positions of the columns in a file with a header."""

    text: int
    id: int | None
    others: tuple[int, ...]


def lay_out(file: str, names: Sequence[str], wanted: Wanted) -> Layout:
    """Find text, id and the others among the `names` in the header of `file`.

    Raises:
        DataRefused: a name stands twice, or a column that was asked for is missing.

    """
    twice = [name for name, times in collections.Counter(names).items() if times > 1]
    if twice:
        raise DataRefused(
            f"{file}: expected every column once; the header has {_listed(twice)} more than once.",
            todo="Rename or remove the repeated columns.",
        )
    refuse_missing(file, names, wanted)
    text = names.index(wanted.text)
    identifier = names.index(wanted.id) if wanted.id in names else None
    others = tuple(index for index in range(len(names)) if index not in (text, identifier))
    return Layout(text=text, id=identifier, others=others)


def refuse_missing(file: str, names: Sequence[str], wanted: Wanted) -> None:
    """Refuse a file without the text column, or without an id column that was asked for by name.

    Raises:
        DataRefused: with the names that were found, and the closest of them.

    """
    searched = [("text", wanted.text, "--text-column")]
    if not wanted.id_optional:
        searched.append(("id", wanted.id, "--id-column"))
    missing = [(what, name, option) for what, name, option in searched if name not in names]
    if not missing:
        return
    expected = " and ".join(f"a column {name!r} for the {what}" for what, name, _ in missing)
    advice = [f"{option} {closest!r}" for _, name, option in missing if (closest := _closest(name, names))]
    todo = f"Did you mean {' '.join(advice)}?" if advice else f"Name the right one with {missing[0][2]}."
    raise DataRefused(f"{file}: expected {expected}; it has {_listed(names)}.", todo=todo)


def carried(sources: Sequence[str], types: Sequence[Any]) -> tuple[Column, ...]:
    """Name the other columns so that none collides with `id`, `text` or another one."""
    taken = {TEXT_COLUMN, ID_COLUMN}
    free = set(sources) - taken
    columns = []
    for source, kind in zip(sources, types, strict=True):
        name = source
        while name in taken or (name != source and name in free):
            name = f"input_{name}"
        taken.add(name)
        columns.append(Column(name=name, source=source, type=kind))
    return tuple(columns)


def _closest(name: str, names: Sequence[str]) -> str | None:
    folded = {candidate.strip().lower(): candidate for candidate in reversed(names)}
    near = difflib.get_close_matches(name.strip().lower(), folded, n=1, cutoff=0.5)
    return folded[near[0]] if near else None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:_SHOWN_NAMES])
    return shown + f" and {len(names) - _SHOWN_NAMES} more" * (len(names) > _SHOWN_NAMES) if names else "no columns"
