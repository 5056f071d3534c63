"""What runs on the nodes of a Ray cluster. It travels there by value, so that a node without EQN can say what it lacks.

For that, nothing of EQN is imported at module level.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from eqn.annotation.annotator import Annotator


class ShardActor:
    """One model on one CPU or GPU of a node."""

    _annotator: "Annotator"

    def load(self, files: Mapping[str, bytes], *, back_end: str, expected: Mapping[str, Any]) -> None:
        """Load the package that consists of `files`, by their names, and see that it is computed here as `expected`.

        Raises:
            ArtifactRefused: the package did not arrive as it was sent.
            UsageError: this node cannot compute it as the driver would, so that its rows would differ.
            ModuleNotFoundError: a package is not installed here.

        """
        import os
        import socket
        import tempfile
        from pathlib import Path

        os.environ["RAYON_NUM_THREADS"] = "1"  # the tokenizer's threads: the other cores have actors of their own

        node = socket.gethostname()
        try:
            from eqn.annotation.annotator import Annotator
            from eqn.errors import UsageError
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"the node {node} lacks the package {error.name!r}", name=error.name) from None
        with tempfile.TemporaryDirectory(prefix="eqn-") as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            try:
                annotator = Annotator.load(folder, back_end=back_end, threads=1)
            except UsageError as error:
                raise UsageError(f"the node {node} cannot annotate: {error.what}", todo=_ALIKE) from error
        found = identity(annotator)
        faults = [
            f"{name}: {expected[name]} here, {found[name]} there" for name in found if found[name] != expected[name]
        ]
        if faults:
            raise UsageError(f"the node {node} would annotate otherwise than this machine.", faults=faults, todo=_ALIKE)
        self._annotator = annotator

    def annotate(self, rows: "pa.Table", schema: "pa.Schema", *, uncertainty: bool) -> "tuple[pa.Table, int]":
        """Annotate a shard; gives its table and how many tokens were read."""
        from eqn.annotation.shards import annotate_shard

        read = 0

        def count(_: int, tokens: int) -> None:
            nonlocal read
            read += tokens

        return annotate_shard(rows, schema, self._annotator, uncertainty=uncertainty, report=count), read


_ALIKE = (
    "Give the cluster nodes of one kind, start the command on one of them, or choose a --back-end all of them have."
)


def identity(annotator: "Annotator") -> dict[str, Any]:
    """Give all that must be the same on every node, so that a shard's bytes do not depend on where it was annotated."""
    import torch

    import eqn

    versions = {"eqn": eqn.__version__, "torch": torch.__version__.partition("+")[0]}
    return versions | {"package": annotator.package.digest} | annotator.options
