"""The manifest: the JSON file whose appearance publishes a release, and the layout of keys around it.

<dataset>/releases/<n>.json               the manifest: written last, once; n = 1, 2, 3 ...
                  /<n>.erasure-<k>.json   the same after erasure k, in place of all before; <n>.json is a copy of it
<dataset>/files/<job>/data/part-00000.parquet ...     or <job>.1 ... where a folder could not be used; <job>.erasure-<k>
                     /quarantine/quarantine-00000.parquet ...
                     /quality/            Data Docs of the input
                     /README.md           the dataset card
                     /croissant.json      the same for machines
<dataset>/commits/...                     commits whose outcome is open (see `eqn.release.commit`)
<dataset>/collected/...                   folders that nobody uses any more (see `eqn.release.collection`)
<dataset>/erasures/<k>.json               what was erased (see `eqn.release.erasures`); k = 1, 2, 3 ...
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from eqn.errors import ArtifactRefused, UsageError
from eqn.store.interface import check_key

FORMAT = 3
"""Format 1 knows no inputs whose parts another model made, format 2 no erasures. A manifest is written in the first one
that will do, so that older readers take it."""
CARD = "README.md"
"""The dataset card's name."""
CROISSANT = "croissant.json"
"""The name of the card for machines."""
_FORMATS = (1, 2, FORMAT)
_OF_OTHERS = ("model", "options")
_OF_ERASURES = ("erasures", "redactions")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclasses.dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a release."""

    sha256: str
    bytes: int
    rows: int | None = None
    """Rows of a Parquet file."""


@dataclasses.dataclass(frozen=True, slots=True)
class InputEntry:
    """One input file, what became of its rows, and the parts made of it."""

    name: str
    sha256: str
    bytes: int
    rows: int
    quarantined: Mapping[str, int]
    """Rows per reason."""
    parts: tuple[str, ...]
    """Its data files, in the order of its rows."""
    quarantine: tuple[str, ...]
    """Its quarantine files."""
    model: Mapping[str, Any] | None = None
    """`name`, `version` and `digest` of the model that made its parts, where it or its arithmetic is not the release's
    own."""
    options: Mapping[str, Any] | None = None
    """The arithmetic of that model: `back_end`, `precision`, `batches`; there when `model` is."""


@dataclasses.dataclass(frozen=True, slots=True)
class Redaction:
    """Rows that were taken out of a release after it was published."""

    record: int
    """Number of the erasure's record, which says what was erased."""
    when: str
    """Time of that record, ISO 8601 in UTC."""
    by: str
    """Who ordered it."""
    reason: str
    """In their words; may be empty."""
    rows: int
    """Rows of this release, from its quarantine too."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything there is to know of a release."""

    dataset: str
    release: int
    job: str
    """Digest of inputs, model and options: the same work has the same job."""
    path: str
    """Key of the folder with the files."""
    commit_id: str
    """Names the attempt that wrote this manifest; tells one's own commit from a rival's."""
    content_digest: str
    """Digest over the files' digests."""
    created: str
    """Time of the commit, ISO 8601 in UTC."""
    eqn_version: str
    contract: int
    model: Mapping[str, Any]
    """`name`, `version` and `digest` of the model that made the parts of all inputs that name no other."""
    options: Mapping[str, Any]
    inputs: tuple[InputEntry, ...]
    rows_in: int
    rows_out: int
    rows_quarantined: int
    ids_in_several_files: int
    files: Mapping[str, FileEntry]
    """Every file, by its name below `path`."""
    previous: int | None
    """The release before this one."""
    erasures: int = 0
    """Number of the newest erasure whose rows are not in it."""
    redactions: tuple[Redaction, ...] = ()
    """What was taken out after it was published, the earliest first."""

    def to_bytes(self) -> bytes:
        """Give the manifest as it is stored."""
        facts = dataclasses.asdict(self)
        facts["inputs"] = [
            {name: value for name, value in entry.items() if name not in _OF_OTHERS or value is not None}
            for entry in facts["inputs"]
        ]
        if not self.erasures:
            facts = {name: value for name, value in facts.items() if name not in _OF_ERASURES}
        facts["format"] = self._format
        return (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str) -> "Manifest":
        """Read a manifest; `where` is for the message.

        Raises:
            ArtifactRefused: it is not one, or its rows do not add up.

        """
        try:
            facts = json.loads(content)
            form = facts.pop("format")
            if form not in _FORMATS:
                raise ArtifactRefused(
                    f"{where} has format {form!r}; this EQN reads {' and '.join(map(str, _FORMATS))}.",
                    todo="Upgrade EQN.",
                )
            files = {name: FileEntry(**entry) for name, entry in facts.pop("files").items()}
            inputs = tuple(
                InputEntry(**{**entry, "parts": tuple(entry["parts"]), "quarantine": tuple(entry["quarantine"])})
                for entry in facts.pop("inputs")
            )
            redactions = tuple(Redaction(**entry) for entry in facts.pop("redactions", ()))
            manifest = cls(**facts, files=files, inputs=inputs, redactions=redactions)
            manifest.check()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ArtifactRefused(
                f"expected a release's manifest in {where}; it cannot be read: {error}",
                todo="Restore the file, or go on with another release: `eqn release list` shows them.",
            ) from error
        return manifest

    @property
    def _format(self) -> int:
        return FORMAT if self.erasures else 2 if any(entry.model for entry in self.inputs) else 1

    @property
    def folder(self) -> str:
        """Name of the folder with the files."""
        return self.path.rpartition("/")[2]

    def check(self) -> None:
        """Raise ValueError where the parts of the manifest do not go together."""
        if not all(isinstance(value, str) for value in (self.dataset, self.job, self.path, self.commit_id)):
            raise ValueError("dataset, job, path and commit_id must be texts")
        if self.path != files_key(self.dataset, check_key(self.folder)) or job_of(self.folder) != self.job:
            raise ValueError(f"its files cannot be in {self.path!r}")
        for name in self.files:
            check_key(f"{self.path}/{name}")
        named = {name for entry in self.inputs for name in (*entry.parts, *entry.quarantine)}
        if not named <= self.files.keys():
            raise ValueError(f"its inputs name files that it does not list: {sorted(named - self.files.keys())}")
        self._check_models()
        if not isinstance(self.erasures, int) or any(entry.record > self.erasures for entry in self.redactions):
            raise ValueError("it names erasures that it does not know of")
        if self.rows_in != self.rows_out + self.rows_quarantined:
            raise ValueError(
                f"it does not add up: {self.rows_in} rows in, {self.rows_out} out, {self.rows_quarantined} quarantined"
            )

    def _check_models(self) -> None:
        arithmetics = [self.options, *(entry.options for entry in self.inputs if entry.options is not None)]
        if not all(isinstance(value, dict) for value in arithmetics):
            raise ValueError("options must be objects")
        if any((entry.model is None) != (entry.options is None) for entry in self.inputs):
            raise ValueError("an input names a model without its arithmetic, or an arithmetic without its model")
        for model in (self.model, *(entry.model for entry in self.inputs if entry.model is not None)):
            if not {"name", "version", "digest"} <= model.keys():
                raise ValueError("it does not name its model")


def is_dataset_name(name: str) -> bool:
    """Tell whether `name` can name a dataset."""
    return bool(_NAME.fullmatch(name))


def check_dataset_name(name: str) -> str:
    """Give `name` back if it can name a dataset.

    Raises:
        UsageError: it cannot.

    """
    if not is_dataset_name(name):
        raise UsageError(
            f"expected a dataset name of lower-case letters, digits, '.', '_' and '-'; got {name!r}.",
            todo="Choose another --dataset.",
        )
    return name


def manifest_key(dataset: str, number: int, *, redaction: int = 0) -> str:
    """Give the key of the manifest of release `number`: as published, or after the erasure of number `redaction`."""
    name = f"{number}.erasure-{redaction}" if redaction else f"{number}"
    return f"{dataset}/releases/{name}.json"


def files_key(dataset: str, folder: str) -> str:
    """Give the key of a folder of files, by its name."""
    return f"{dataset}/files/{folder}"


def folder_name(job: str, attempt: int) -> str:
    """Give the name of the folder for a job's files; the first attempt's is the job's digest."""
    return f"{job}.{attempt}" if attempt else job


def redacted_folder_name(job: str, erasure: int, attempt: int) -> str:
    """Give the name of the folder for a job's files without what was erased up to record `erasure`."""
    return f"{job}.erasure-{erasure}.{attempt}" if attempt else f"{job}.erasure-{erasure}"


def job_of(folder: str) -> str:
    """Give the job whose files are in the folder of this name."""
    return folder.partition(".")[0]


def collected_key(dataset: str, folder: str) -> str:
    """Give the key of the mark which says that this folder is given up: nobody publishes from it any more."""
    return f"{dataset}/collected/{folder}"


def content_digest(files: Mapping[str, FileEntry]) -> str:
    """Give one digest over names and digests of all files."""
    whole = "".join(f"{entry.sha256}  {name}\n" for name, entry in sorted(files.items()))
    return hashlib.sha256(whole.encode()).hexdigest()
