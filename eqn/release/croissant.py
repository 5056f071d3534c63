"""The Croissant description: croissant.json of a release, with which tools of that standard find, check and load it.

Croissant 1.0 (docs.mlcommons.org/croissant) is JSON-LD: the files with their digests, and the columns with their types
and meanings. Names of the input's columns stand in it as they are given, but only inside JSON strings of plain ASCII.
"""

import collections
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from eqn.annotation.uncertainty import COLUMN_MEANINGS, CONFORMAL_COLUMN
from eqn.corpus.contract import ID_COLUMN, LABELS_COLUMN, TEXT_COLUMN, TRUNCATED_COLUMN, VERSION
from eqn.emotions import MEANINGS
from eqn.release.described import Described
from eqn.release.manifest import FileEntry
from eqn.release.summary import Summary

if TYPE_CHECKING:
    import pyarrow as pa

RECORDS = "rows"
"""The `@id` of the record set."""

_PARTS = "parts"
_PARQUET = ["application/vnd.apache.parquet", "application/x-parquet"]
"""The registered media type, and the one that Croissant's own reader knows."""

_SAFE_NAME = re.compile(r"(?!column-)[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""Column names that can stand in an `@id`; the others, and those that look like their replacement, get a number."""

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{
        term: f"cr:{term}"
        for term in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet"),
            *("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
            *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField"),
            "transform",
        )
    },
}
"""The standard's vocabulary, whole: readers warn of any other."""

_SETS = f"{COLUMN_MEANINGS[CONFORMAL_COLUMN]}. "
"""What is said of the conformal sets before their promise."""

_OURS = {
    ID_COLUMN: "as given; else 16 hex digits of the text's sha256, a dash, and its occurrence in the file",
    TEXT_COLUMN: "as given",
    TRUNCATED_COLUMN: "the text was longer than the model reads",
    LABELS_COLUMN: "emotions whose intensity reaches the model's threshold for them, strongest first",
    **{name: f"intensity in [0, 1] of {name}: {meaning}" for name, meaning in MEANINGS.items()},
}


def croissant_json(plan: Described, summary: Summary, files: Mapping[str, FileEntry]) -> bytes:
    """Describe a job's data: `files` are those in its folder, by their names below it, of which the parts are used.

    The same job with the same parts always gets the same bytes. Without a part there is nothing to load, so neither
    files nor columns are described.
    """
    parts = {name: entry for name, entry in sorted(files.items()) if name.startswith("data/")}
    facts: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": plan.dataset,
        "description": (
            f"{summary.rows:,} texts annotated by EQN with the intensities of 28 emotions, each in [0, 1]. "
            f"Model digest {plan.model.digest}, job {plan.job}, contract version {VERSION}. {_others(plan)}"
            "The intensities say how a text reads to a model trained on English comments from Reddit, not what its "
            "author feels."
        ),
        "license": {
            "@type": "sc:CreativeWork",
            "name": "Terms of the annotated texts",
            "description": "The texts belong to whoever provided them, and their terms hold; EQN adds none.",
        },
    }
    if parts:
        facts["distribution"] = [*(_file(name, entry) for name, entry in parts.items()), _file_set()]
        facts["recordSet"] = [_record_set(plan)]
    # A page may carry this inside <script>: no column's name may end it.
    return (json.dumps(facts, indent=2).replace("<", "\\u003c") + "\n").encode("ascii")


def promise_in(content: bytes) -> str:
    """Give what the conformal sets of a description promise; empty where it says nothing of them."""
    fields = [field for records in json.loads(content).get("recordSet", []) for field in records["field"]]
    told = [str(field["description"]) for field in fields if field["name"] == CONFORMAL_COLUMN]
    return told[0].removeprefix(_SETS) if told else ""


def _others(plan: Described) -> str:
    """Tell how many texts another model has annotated."""
    rows: collections.Counter[str] = collections.Counter()
    for digest, _, count in plan.rows_of_others:
        rows[digest] += count if digest != plan.model.digest else 0
    return "".join(
        f"{count:,} of the texts keep the annotation of an earlier model, digest {digest}. "
        for digest, count in rows.items()
        if count
    )


def _file(name: str, entry: FileEntry) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name.rpartition("/")[2],
        "contentUrl": name,
        "contentSize": f"{entry.bytes} B",
        "encodingFormat": _PARQUET,
        "sha256": entry.sha256,
    }


def _file_set() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": _PARTS,
        "name": _PARTS,
        "description": "All data files: together they are the table.",
        "encodingFormat": _PARQUET,
        "includes": "data/*.parquet",
    }


def _record_set(plan: Described) -> dict[str, Any]:
    meanings = _meanings(plan)
    fields = [field for place, column in enumerate(plan.schema) if (field := _field(column, place, meanings))]
    left_out = len(plan.schema) - len(fields)
    return {
        "@type": "cr:RecordSet",
        "@id": RECORDS,
        "name": RECORDS,
        "description": "One annotated text in each record."
        + f" {left_out} columns of the input are in the files, but of a kind that Croissant 1.0 cannot describe."
        * bool(left_out),
        "field": fields,
    }


def _meanings(plan: Described) -> dict[str, str]:
    """Give what our columns hold, with what the conformal sets promise."""
    if plan.promise is None:
        return _OURS  # an input's own column may be called entropy
    sets = f"{_SETS}{plan.promise}"
    return _OURS | COLUMN_MEANINGS | {CONFORMAL_COLUMN: sets}


def _field(column: "pa.Field", place: int, meanings: Mapping[str, str]) -> dict[str, Any] | None:
    """Describe the column at `place`, or None where the standard has no type for it or takes no such name."""
    import pyarrow as pa

    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    data_type = _data_type(kind.value_type if is_list else kind)
    if data_type is None or not column.name:
        return None
    identifier = column.name if _SAFE_NAME.fullmatch(column.name) else f"column-{place}"
    return {
        "@type": "cr:Field",
        "@id": f"{RECORDS}/{identifier}",
        "name": column.name,
        "description": meanings.get(column.name, "a column of the input, as given"),
        "dataType": data_type,
        **({"repeated": True} if is_list else {}),
        "source": {"fileSet": {"@id": _PARTS}, "extract": {"column": column.name}},
    }


def _data_type(kind: "pa.DataType") -> str | None:
    """Give the standard's name for values of this type; None for structures, bytes and what else it has no name for."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    types = pa.types
    names = {
        "sc:Text": types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind),
        "sc:Boolean": types.is_boolean(kind),
        "sc:Integer": types.is_integer(kind),
        "sc:Float": types.is_floating(kind) or types.is_decimal(kind),
        "sc:Date": types.is_date(kind),
        "sc:DateTime": types.is_timestamp(kind),
        "sc:Time": types.is_time(kind),
    }
    return next((name for name, is_it in names.items() if is_it), None)
