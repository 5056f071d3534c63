"""Which files a call means: arguments in, a sorted list of readable files out. Nothing is opened here.

An argument is a file, a folder (searched with its subfolders) or a glob. Names that start with `.` or `_` inside a
folder or behind a glob are not data and are passed over (`.DS_Store`, `_SUCCESS`); every other file must be of a
supported kind, so that a misnamed file is never left out in silence. Nor is one that a link in a folder brings in from
outside of it: whoever may put files into an inbox must not have others published. A link that is named itself is read.
"""

import collections
import dataclasses
import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from eqn.errors import UsageError

FORMATS: dict[str, str] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "txt",
    ".parquet": "parquet",
}
"""Format of each extension. All but Parquet, which compresses inside, may be followed by `.gz`."""

SUPPORTED = "csv, tsv, jsonl (or ndjson) and txt, each plain or with .gz behind, and parquet"

Report = Callable[[str], None]
"""Takes one fault in words; all faults are raised together at the end."""


@dataclasses.dataclass(frozen=True, slots=True)
class InputFile:
    """One file to read."""

    path: str
    """Where it stands, as far as the arguments told."""
    name: str
    """Path relative to the folder that was given, or the file's own name; unique over the call."""
    format: str
    """`csv`, `tsv`, `jsonl`, `parquet` or `txt`."""
    compressed: bool
    """True when the file is gzip."""


def find_inputs(arguments: Sequence[str]) -> tuple[InputFile, ...]:
    """Find the files that `arguments` mean, sorted by name, each once.

    Raises:
        UsageError: an argument matches nothing, or files are of no supported kind; all faults are listed.

    """
    faults: list[str] = [] if arguments else ["no file, folder or glob was given"]
    found: dict[str, tuple[Path, str]] = {}
    for argument in arguments:
        try:
            for path, name in _matches(argument, faults.append):
                real = os.path.realpath(path)
                if real not in found and _fit(path, faults.append):
                    found[real] = (path, name)
        except OSError as error:
            faults.append(f"{argument}: cannot be reached ({error.strerror})")
    if faults:
        raise UsageError(
            f"expected files to read; {len(faults)} fault(s):",
            faults=faults,
            todo=f"Supported are {SUPPORTED}. Move other files out of the folder, or name the right ones one by one.",
        )
    names = unique_names({str(path.absolute()): name for path, name in found.values()})
    files = [_input_file(path, names[str(path.absolute())]) for path, _ in found.values()]
    return tuple(sorted(files, key=lambda file: file.name))


def _matches(argument: str, report: Report) -> Iterator[tuple[Path, str]]:
    """Give every path that one argument means, with the name it would have."""
    path = Path(argument)
    if not argument:
        report("an argument is empty")
    elif path.is_dir():
        inside = list(_inside(path, report, seen=set()))
        if not inside:
            report(f"{argument}: the folder holds no files to read")
        root = os.path.realpath(path)
        for entry in inside:
            if Path(os.path.realpath(entry)).is_relative_to(root):
                yield entry, entry.relative_to(path).as_posix()
            else:
                report(f"{_printable(entry)}: a link that leads out of the folder; name the file itself to read it")
    elif os.path.lexists(path):
        yield path, path.name
    elif glob.has_magic(argument):
        # A folder behind a glob would be a surprise in size; a folder is searched when it is named.
        hits = [Path(hit) for hit in sorted(glob.glob(argument, recursive=True))]  # noqa: PTH207  may be absolute
        files = [hit for hit in hits if not hit.is_dir() and not is_hidden(hit.name)]
        if not files:
            report(f"{argument}: matches no file")
        for hit in files:
            yield hit, hit.name
    else:
        report(f"{argument}: no such file or folder")


def _inside(folder: Path, report: Report, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Walk a folder in sorted order; links to folders are followed, but no folder is entered twice."""
    try:
        about = folder.stat()
        if (about.st_dev, about.st_ino) in seen:
            return
        seen.add((about.st_dev, about.st_ino))
        entries = [(entry, entry.is_dir()) for entry in sorted(folder.iterdir()) if not is_hidden(entry.name)]
    except OSError as error:
        report(f"{folder}: the folder cannot be listed ({error.strerror})")
        return
    for entry, is_folder in entries:
        if is_folder:
            yield from _inside(entry, report, seen)
        else:
            yield entry


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder of this name is passed over."""
    return name.startswith((".", "_"))


def _fit(path: Path, report: Report) -> bool:
    """Report what keeps a path from being read; True when nothing does."""
    printable = _printable(path)
    if printable != str(path):
        # The name goes into tables and manifests, which are UTF-8.
        report(f"{printable}: the name is not UTF-8; rename the file")
    elif not path.is_file():
        report(f"{printable}: {'not a regular file' if path.exists() else 'a link that leads nowhere'}")
    elif kind_of(path.name) is None:
        report(f"{printable}: {why_foreign(path.name)}")
    else:
        return True
    return False


def _printable(path: Path) -> str:
    """Give a path in characters that can be written, whatever bytes its name has."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def kind_of(name: str) -> tuple[str, bool] | None:
    """Tell format and compression from a name, None when it is not supported.

    >>> kind_of("Comments.CSV.gz")
    ('csv', True)
    """
    plain = name.lower()
    compressed = plain.endswith(".gz")
    extension = Path(plain.removesuffix(".gz")).suffix
    if extension not in FORMATS or (compressed and extension == ".parquet"):
        return None
    return FORMATS[extension], compressed


def why_foreign(name: str) -> str:
    """Say why a file of this name cannot be read."""
    extension = "".join(Path(name).suffixes[-2:]) if name.lower().endswith(".gz") else Path(name).suffix
    if extension.lower() == ".parquet.gz":
        return "Parquet compresses inside; unpack the file with gunzip"
    if extension.lower() == ".json":
        return "the extension .json is not supported; one object per line is .jsonl"
    return f"the extension {extension} is not supported" if extension else "has no extension that tells its format"


def unique_names(names: dict[str, str]) -> dict[str, str]:
    """Give every file a name of its own: equal names grow by parent folders until they differ.

    >>> unique_names({"/data/a/x.csv": "x.csv", "/data/b/x.csv": "x.csv"})
    {'/data/a/x.csv': 'a/x.csv', '/data/b/x.csv': 'b/x.csv'}
    """
    names = dict(names)
    while len(set(names.values())) < len(names):
        times = collections.Counter(names.values())
        for path, name in names.items():
            if times[name] > 1:
                # Whole paths differ, so this ends with them at the latest.
                names[path] = "/".join(Path(path).parts[-(name.count("/") + 2) :]).replace("//", "/")
    return names


def _input_file(path: Path, name: str) -> InputFile:
    kind = kind_of(path.name)
    if kind is None:
        raise RuntimeError(f"{path} was taken although its format is unknown")
    return InputFile(path=str(path), name=name, format=kind[0], compressed=kind[1])
