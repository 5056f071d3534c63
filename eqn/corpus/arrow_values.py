"""Strings and types in Arrow, for a reader that believes neither that strings are UTF-8 nor that types are simple."""

from typing import Any


def _plain(array: Any) -> Any:
    import pyarrow as pa

    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def is_string(kind: Any) -> bool:
    """Tell whether this type holds strings, in any of Arrow's layouts."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def as_bytes(array: Any) -> list[bytes | None]:
    """Give the bytes of strings, which need not be UTF-8."""
    import pyarrow as pa

    values: list[bytes | None] = _plain(array).cast(pa.large_binary()).to_pylist()
    return values


def as_ids(array: Any) -> list[bytes | None]:
    """Give ids as bytes; integers as their digits."""
    import pyarrow as pa

    if pa.types.is_integer(array.type):
        return [None if value is None else str(value).encode() for value in array.to_pylist()]
    return as_bytes(array)


def carried_type(kind: Any) -> Any:
    """Give the type in which a column goes on: its own, but for views, which Arrow cannot take rows from."""
    import pyarrow as pa

    if pa.types.is_string_view(kind):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(kind) else kind


def broken_rows(batch: Any) -> set[int]:
    """Find the places of the rows with a value that is not valid, such as a string that is not UTF-8."""
    import pyarrow as pa

    broken: set[int] = set()
    for array in batch.columns:
        try:
            array.validate(full=True)
        except pa.ArrowInvalid:
            plain = _plain(array)
            broken.update(place for place in range(len(plain)) if not _valid(plain, place))
    return broken


def _valid(array: Any, place: int) -> bool:
    import pyarrow as pa

    try:
        # A copy: a slice would be judged together with what stands around it.
        array.take(pa.array([place])).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
