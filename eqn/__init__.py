"""EQN: 28 emotion intensities for text, and the whole life of the datasets annotated with them.

Importing this package loads nothing heavy; each stage imports what it needs when it is called.

>>> eqn.load("champion").annotate(["I can't stop smiling"])    # doctest: +SKIP
"""

from os import PathLike, fspath
from typing import TYPE_CHECKING

from eqn.emotions import EKMAN, EMOTIONS, SENTIMENT

if TYPE_CHECKING:
    from eqn.annotation.annotator import Annotator

__version__ = "0.1.0"
__all__ = ["EKMAN", "EMOTIONS", "SENTIMENT", "__version__", "load"]


def load(name: str | PathLike[str] = "champion", *, back_end: str = "auto", threads: int | None = None) -> "Annotator":
    """Load a model to annotate with: a package directory, a registered version, or an alias, as on the command line.

    Where nobody is champion yet, `champion` is the model in the box. `back_end` is int8, bf16 or fp32; auto takes the
    fastest one, which is measured once for each machine and model. `threads` computes that many blocks of texts at
    once, as many as torch uses without it.

    Raises:
        UsageError: there is no such model, or the back end cannot be used here, or not with this model.
        ArtifactRefused: the model's files are not the ones that were written or registered.

    """
    from eqn.annotation.annotator import Annotator
    from eqn.annotation.choice import chosen_back_end
    from eqn.commands.shared import backbones_folder, package_of
    from eqn.model.back_end_names import AUTO
    from eqn.model.back_ends import BackEnd

    package = package_of(fspath(name))
    if back_end == AUTO:
        back_end = chosen_back_end(package, backbones_folder().with_name("back_ends")).name
    return Annotator(package, BackEnd(back_end, package, threads=threads))
