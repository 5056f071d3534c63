"""Reading tokenizer.json from whomever it comes: only the parts of which BERT's tokenizers are made.

The tokenizers library knows many more. Some of them run regular expressions out of the file on every text, for which a
short text can take hours; and it takes files on which it panics later.
"""

import json
from typing import TYPE_CHECKING, Any

from eqn.errors import ArtifactRefused

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PARTS: dict[str, frozenset[str | None]] = {
    "model": frozenset({"WordPiece"}),
    "normalizer": frozenset({None, "BertNormalizer", "Sequence"}),
    "pre_tokenizer": frozenset({"BertPreTokenizer"}),
    "post_processor": frozenset({"TemplateProcessing", "BertProcessing"}),
    "decoder": frozenset({None, "WordPiece"}),
}


def tokenizer_from(content: str) -> "Tokenizer":
    """Build the tokenizer that `content`, the text of a tokenizer.json, describes.

    Raises:
        ArtifactRefused: it is not a BERT's; all faults are named.

    """
    from tokenizers import Tokenizer

    try:
        faults = _faults(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactRefused(f"expected a BERT's tokenizer.json: {type(error).__name__}: {error}") from error
    if faults:
        raise ArtifactRefused("expected a BERT's tokenizer.json.", faults=faults)
    try:
        return Tokenizer.from_str(content)
    except BaseException as error:
        raise refusal_of(error) from error


def refusal_of(error: BaseException) -> BaseException:
    """Give the refusal for an `error` of the tokenizers library; what has nothing to do with it comes back as it is.

    The library raises bare Exception, and its panics are no Exception at all.
    """
    if isinstance(error, Exception) or type(error).__name__ == "PanicException":
        return ArtifactRefused(f"expected a BERT's tokenizer.json: {error}")
    return error


def _faults(said: Any) -> list[str]:
    types = {part: (said.get(part) or {}).get("type") for part in _PARTS}
    faults = [
        f"{part}: expected {' or '.join(str(name) for name in sorted(known, key=str))}, got {types[part]!r}"
        for part, known in _PARTS.items()
        if types[part] not in known
    ]
    if faults:
        return faults
    faults += [
        f"normalizer: expected replacements of plain text before a BertNormalizer, got {str(part)[:80]}"
        for part in _foreign_normalizers(said.get("normalizer") or {})
    ]
    vocabulary, unknown = said["model"]["vocab"], said["model"].get("unk_token")
    if unknown not in vocabulary:
        faults.append(f"model: its token for the unknown, {unknown!r}, is not in its vocabulary")
    if types["post_processor"] == "TemplateProcessing":
        template = said["post_processor"]
        if any(piece.get("Sequence", {"id": "A"})["id"] != "A" for piece in template["single"]):
            faults.append("post_processor: its template for one text has a second one in it")
        used = {
            piece["SpecialToken"]["id"]
            for pieces in (template["single"], template["pair"])
            for piece in pieces
            if "SpecialToken" in piece
        }
        faults += [
            f"post_processor: it does not say what {name!r} is" for name in used - set(template["special_tokens"])
        ]
    return faults


def _foreign_normalizers(normalizer: dict[str, Any]) -> list[Any]:
    """Give what a sequence may not hold: anything but replacements of plain text, and BERT's own at its end."""
    if normalizer.get("type") != "Sequence":
        return []
    *before, last = normalizer["normalizers"]
    foreign = [
        part
        for part in before
        if part["type"] != "Replace" or part["pattern"].keys() != {"String"} or not part["pattern"]["String"]
    ]
    return foreign + [last] * (last["type"] != "BertNormalizer")
