"""The model in the box: what annotates before anybody has trained, on a machine that has only this package.

Three files in the folder `box`, made by `infra/make_box.py` from a trained package: `delta.safetensors`, which is its
difference from MiniLM (see `eqn.model.delta`), the package's eqn.json, and its card. On first use MiniLM is fetched and
the package is put together; its every bit is the same on every machine.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from eqn.errors import ArtifactRefused, UsageError
from eqn.model.package import Description, Package, read_package, write_package

if TYPE_CHECKING:
    from torch import Tensor

NAME = "the model in the box"
BOX = Path(__file__).with_name("box")
DELTA, DESCRIPTION, CARD = "delta.safetensors", "eqn.json", "README.md"


def boxed_package(*, models: Path, backbones: Path, box: Path | None = None) -> Package:
    """Give the package of the model in the box, put together in a folder of `models` unless it stands there already.

    Raises:
        StoreUnavailable: MiniLM is not in `backbones` and cannot be fetched.
        ArtifactRefused: the files of the box, or those of MiniLM, are not what they should be.

    """
    box = box or BOX
    place = models / f"boxed-{_digest(box)}"
    try:
        return read_package(place)
    except ArtifactRefused:
        if place.exists():
            raise
    return _put_together(place, backbones, box)


def _put_together(place: Path, backbones: Path, box: Path) -> Package:
    from safetensors.torch import load_file

    from eqn.model.backbone import load_backbone
    from eqn.model.delta import merge_delta
    from eqn.model.emoji import name_emoji
    from eqn.model.network import EmotionNetwork

    facts = json.loads((box / DESCRIPTION).read_text("utf-8"))
    description = Description(**{**facts, "labels": tuple(facts["labels"])})
    backbone = load_backbone(description.backbone["name"], cache=backbones, seed=0)
    if backbone.digest != description.backbone["digest"]:
        raise ArtifactRefused(
            f"expected the {backbone.name} from which the model in the box was made; its digest is another.",
            todo="Install this version of EQN again.",
        )
    if description.recipe.get("emoji"):
        name_emoji(backbone.tokenizer)
    base: dict[str, Tensor] = {f"encoder.{name}": part for name, part in backbone.encoder.state_dict().items()}
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.0)
    network.load_state_dict(merge_delta(base, load_file(box / DELTA)))
    try:
        return write_package(place, network, backbone.tokenizer, description, card=(box / CARD).read_text("utf-8"))
    except (UsageError, OSError):
        if not place.exists():
            raise
        return read_package(place)  # another process was faster


def _digest(box: Path) -> str:
    whole = hashlib.sha256()
    for name in (DELTA, DESCRIPTION, CARD):
        whole.update((box / name).read_bytes())
    return whole.hexdigest()[:16]
