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
    """Give the type in which a column goes on, at any depth: its own, but for views and dictionaries.

    Arrow cannot take rows from views. A dictionary keeps the values of rows that are long gone: those in quarantine,
    and those that were erased.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return carried_type(kind.value_type)
    if pa.types.is_nested(kind):
        return _carried_nested(kind)
    return {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}.get(kind, kind)


def holds_dictionary(kind: Any) -> bool:
    """Tell whether there is a dictionary in a type, at any depth."""
    import pyarrow as pa

    within = range(kind.num_fields)
    return bool(pa.types.is_dictionary(kind)) or any(holds_dictionary(kind.field(place).type) for place in within)


def _carried_nested(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([_carried_field(field) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_carried_field(kind.key_field), _carried_field(kind.item_field), kind.keys_sorted)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_carried_field(kind.value_field), kind.list_size)
    for is_one, made in ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list)):
        if is_one(kind):
            return made(_carried_field(kind.value_field))
    return kind


def _carried_field(field: Any) -> Any:
    return field.with_type(carried_type(field.type))


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
