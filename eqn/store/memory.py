"""The in-memory twin of a store, for tests and trials: same promises, nothing kept."""

import threading
import time
from collections.abc import Iterator

from eqn.store.interface import check_key


class MemoryStore:
    """An `ObjectStore` in a dictionary."""

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}
        self._written: dict[str, float] = {}
        self._lock = threading.Lock()

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write `content` unless the key exists; True when this call wrote it."""
        with self._lock:
            if check_key(key) in self._content:
                return False
            self.put(key, content)
            return True

    def put(self, key: str, content: bytes) -> None:
        """Write `content` under `key`."""
        self._content[check_key(key)] = content
        self._written[key] = time.monotonic()

    def copy_if_absent(self, source: str, key: str) -> bool:
        """Give the bytes of `source` to `key` unless that exists; True when this call did."""
        return self.put_if_absent(key, self.get(source))

    def get(self, key: str) -> bytes:
        """Read a key; KeyError when it is not there."""
        return self._content[check_key(key)]

    def exists(self, key: str) -> bool:
        """Tell whether the key is there."""
        return check_key(key) in self._content

    def list(self, prefix: str) -> Iterator[str]:
        """Give the keys under the folder `prefix`, sorted; with "" all of them."""
        folder = check_key(prefix.rstrip("/")) + "/" if prefix else ""
        yield from sorted(key for key in self._content if key.startswith(folder))

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Give the names of the folders directly below the folder `prefix`, sorted."""
        start = f"{check_key(prefix)}/" if prefix else ""
        below = (key.removeprefix(start) for key in self._content if key.startswith(start))
        yield from sorted({rest.partition("/")[0] for rest in below if "/" in rest})

    def delete(self, key: str) -> None:
        """Remove a key; a missing one is no error."""
        self._content.pop(check_key(key), None)

    def age(self, key: str) -> float:
        """Give the seconds since the key was written; KeyError when it is not there."""
        return time.monotonic() - self._written[check_key(key)]

    def sweep(self, prefix: str, *, older_than: float) -> int:  # noqa: ARG002  as in every store
        """Nothing is ever left here."""
        return 0

    def address(self, key: str) -> str:
        """Give a name for messages; nobody else can read from it."""
        return f"memory://{check_key(key)}"
