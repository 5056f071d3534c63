r"""Corrected labels, read back into a new corpus beside the old one, which stays as it is.

    read_corrections(path)                      -> {comment id: label ids}
    correct_corpus(corpus, path, directory)     -> Corrected

Two forms are read, told apart by their content. Label Studio's JSON export is a list of tasks; a task's comment is
`data.comment_id`, its labels are the choices of its annotation; cancelled annotations and tasks without any say
nothing. And jsonl, from whatever tool, with the names of the emotions:

    {"id": "ed2mah1", "labels": ["joy", "love"]}

Only the lines of corrected comments are written anew, and only in one split; all other bytes are the old corpus'. So
the new one has a digest of its own, and `corrections.json` in it says which corpus it was made of.
"""

import contextlib
import dataclasses
import hashlib
import json
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from eqn.corpus.contract import SPLITS
from eqn.corpus.goemotions import Corpus, Split, load_corpus, parse_line
from eqn.corpus.json_rows import parse_object
from eqn.emotions import EMOTIONS, INDEX
from eqn.errors import DataRefused, UsageError
from eqn.records import CorpusRef
from eqn.store.directory import DirectoryStore, storage_errors

RECORD = "corrections.json"

_MAX_FAULTS = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Corrected:
    """A corpus that was made by correcting another one."""

    corpus: CorpusRef
    """The new one."""
    made_from: CorpusRef
    split: str
    """The only one in which rows were changed."""
    corrections: int
    """Comments in the file of corrections."""
    changed: int
    """Those whose labels are others now; the rest had been given these labels all along."""
    corrections_sha256: str
    """Of the file of corrections, without a byte order mark."""


def correct_corpus(corpus: Corpus, corrections: Path, directory: Path, *, split: str = "train") -> Corrected:
    """Write the corpus with corrected labels into `directory`, which is made, or is empty.

    Raises:
        UsageError: there is no such file of corrections, no such split, or `directory` holds something.
        DataRefused: corrections cannot be read, are of comments that the split does not have, or change nothing; up to
            twenty faults are named and all counted.
        StorageFull, StoreUnavailable: it could not be written.

    """
    rows, content = corpus.split(split), _content(corrections)
    labels = _parsed(content, corrections)
    _refuse(list(_foreign(labels, corpus, rows)), f"expected corrections of comments in {split}.tsv")
    before = dict(zip(rows.ids, rows.labels, strict=True))
    changed = {name: new for name, new in labels.items() if before[name] != new}
    if not changed:
        raise DataRefused(
            f"expected corrections; the {len(labels):,} comment(s) in {corrections} have these labels already.",
            todo="There is nothing to write: train on the corpus as it is.",
        )
    _check_free(directory)
    with storage_errors(directory), _appearing(directory) as fresh:
        store = DirectoryStore(fresh)
        for name in SPLITS:
            store.put(f"{name}.tsv", Path(corpus.ref.path, f"{name}.tsv").read_bytes())
        if load_corpus(fresh).ref.digest != corpus.ref.digest:
            raise DataRefused(f"{corpus.ref.path} changed while it was read.", todo="Run the same command again.")
        store.put(f"{split}.tsv", _rewritten(store.get(f"{split}.tsv"), changed))
        ref = load_corpus(fresh).ref
        known = ref.name if ref.name != fresh.resolve().name else directory.resolve().name
        corrected = Corrected(
            corpus=dataclasses.replace(ref, name=known, path=str(directory)),
            made_from=corpus.ref,
            split=split,
            corrections=len(labels),
            changed=len(changed),
            corrections_sha256=hashlib.sha256(content).hexdigest(),
        )
        store.put(RECORD, (json.dumps(_record(corrected), indent=2, ensure_ascii=False) + "\n").encode())
    return corrected


def read_corrections(path: Path) -> dict[str, tuple[int, ...]]:
    """Read a file of corrections: label ids, ascending, by comment id.

    Raises:
        UsageError: there is no such file.
        DataRefused: it has neither form, or faults, of which up to twenty are named; or there are no corrections in it.

    """
    return _parsed(_content(path), path)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise UsageError(f"expected a file of corrections; {path} cannot be read ({error.strerror}).") from error


def _parsed(content: bytes, path: Path) -> dict[str, tuple[int, ...]]:
    faults: list[str] = []
    source = _label_studio if content.lstrip().startswith(b"[") else _jsonl
    found: dict[str, tuple[int, ...]] = {}
    for place, identifier, names in source(content, faults.append):
        labels = tuple(sorted({INDEX[name] for name in names if name in INDEX}))
        unknown = sorted({name for name in names if name not in INDEX})
        if unknown:
            faults.append(f"{place}: expected names of emotions, got {', '.join(repr(name[:40]) for name in unknown)}")
        elif not labels:
            faults.append(f"{place}: expected at least one label")
        elif identifier in found:
            faults.append(f"{place}: the comment {identifier[:40]!r} was corrected before in this file")
        else:
            found[identifier] = labels
    _refuse(faults, f"expected corrected labels in {path}")
    if not found:
        raise DataRefused(f"expected corrected labels in {path}; there are none.", todo="Annotate some, export again.")
    return found


def _jsonl(content: bytes, report: Callable[[str], None]) -> Iterator[tuple[str, str, list[str]]]:
    """Give place, comment id and label names of each line; what is wrong goes to `report`."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found = parse_object(line)
        except (ValueError, RecursionError) as error:
            report(f"line {number}: not a JSON object ({str(error)[:80]})")
            continue
        identifier, labels = found.get("id"), found.get("labels")
        if not isinstance(identifier, str):
            report(f"line {number}: expected an id, got {_short(identifier)}")
        elif not _are_names(labels):
            report(f"line {number}: expected a list of names in labels, got {_short(labels)}")
        else:
            yield f"line {number}", str(identifier), labels


def _label_studio(content: bytes, report: Callable[[str], None]) -> Iterator[tuple[str, str, list[str]]]:
    """Give place, comment id and label names of each annotated task; what is wrong goes to `report`."""
    try:
        tasks = json.loads(content)
    except (ValueError, RecursionError) as error:
        report(f"not JSON ({str(error)[:80]})")
        return
    for number, task in enumerate(tasks, start=1):
        place = f"task {number}"
        data = task.get("data") if isinstance(task, dict) else None
        identifier = data.get("comment_id") if isinstance(data, dict) else None
        annotations = task.get("annotations", []) if isinstance(task, dict) else None
        if not isinstance(identifier, str) or not isinstance(annotations, list):
            report(f"{place}: expected data.comment_id and annotations, as in Label Studio's JSON export")
            continue
        answers = [_choices(annotation) for annotation in annotations if not _is_cancelled(annotation)]
        if len({frozenset(answer) for answer in answers}) > 1:
            report(f"{place}: its {len(answers)} annotations differ; decide for one of them")
        elif answers:
            yield place, identifier, answers[0]


def _is_cancelled(annotation: Any) -> bool:
    return isinstance(annotation, dict) and annotation.get("was_cancelled") is True


def _choices(annotation: Any) -> list[str]:
    """Give the chosen names of an annotation; results of other kinds, such as notes, are passed over."""
    results = annotation.get("result") if isinstance(annotation, dict) else None
    results = results if isinstance(results, list) else []
    values = [result.get("value") for result in results if isinstance(result, dict)]
    chosen = [value["choices"] for value in values if isinstance(value, dict) and _are_names(value.get("choices"))]
    return [name for names in chosen for name in names]


def _are_names(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(type(name) is str for name in value)


def _short(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:40]


def _foreign(labels: Mapping[str, Any], corpus: Corpus, rows: Split) -> Iterator[str]:
    """Say which corrections are of no comment, or of several."""
    times = Counter(rows.ids)
    elsewhere = {identifier: name for name in SPLITS if name != rows.name for identifier in corpus.split(name).ids}
    for identifier in labels:
        shown = repr(identifier[:40])
        if times[identifier] > 1:
            yield f"{shown} stands {times[identifier]} times in {rows.name}.tsv"
        elif identifier in elsewhere and not times[identifier]:
            yield f"{shown} is in {elsewhere[identifier]}.tsv"
        elif not times[identifier]:
            yield f"{shown} is no comment of this corpus"


def _refuse(faults: Sequence[str], what: str) -> None:
    if faults:
        more = [f"... and {len(faults) - _MAX_FAULTS} more"] * (len(faults) > _MAX_FAULTS)
        raise DataRefused(
            f"{what}; {len(faults)} fault(s):",
            faults=[*faults[:_MAX_FAULTS], *more],
            todo=f"Correct these. Labels are named as in `eqn data show`: {', '.join(EMOTIONS[:3])} ...",
        )


def _rewritten(content: bytes, changed: Mapping[str, tuple[int, ...]]) -> bytes:
    """Give a split's bytes with other labels in the lines of the `changed` comments."""
    lines = content.split(b"\n")
    for number, line in enumerate(lines):
        if line.strip(b" \r"):
            text, _, identifier = parse_line(line.removesuffix(b"\r").decode("utf-8"), number + 1)
            if identifier in changed:
                written = ",".join(map(str, changed[identifier]))
                lines[number] = f"{text}\t{written}\t{identifier}".encode() + b"\r" * line.endswith(b"\r")
    return b"\n".join(lines)


def _check_free(directory: Path) -> None:
    if directory.is_dir() and not any(directory.iterdir()):
        return
    if directory.is_symlink() or directory.exists():
        raise UsageError(
            f"expected a new or empty directory for the corrected corpus; {directory} is not.",
            todo="Choose another --out.",
        )


@contextlib.contextmanager
def _appearing(directory: Path) -> Iterator[Path]:
    """Give a folder that appears as `directory` when the block ends well, and is gone when it does not."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    fresh = directory.parent / f".tmp-{secrets.token_hex(8)}"
    fresh.mkdir()
    try:
        yield fresh
        fresh.rename(directory)  # fails when somebody has put something there meanwhile
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _record(corrected: Corrected) -> dict[str, Any]:
    """Give what the new folder says of its origin: no paths, which mean nothing elsewhere."""
    return {
        "digest": corrected.corpus.digest,
        "made_from": {"name": corrected.made_from.name, "digest": corrected.made_from.digest},
        "split": corrected.split,
        "corrections": corrected.corrections,
        "changed": corrected.changed,
        "corrections_sha256": corrected.corrections_sha256,
    }
