"""Writing tensors as safetensors, straight from where they lie: a copy in memory would double what training needs."""

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_SYSTEM_ERROR = re.compile(r"os error (\d+)")


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]", metadata: Mapping[str, str] | None = None) -> None:
    """Write `tensors` to `path`, with the access rights of any other new file.

    Raises:
        OSError: the file cannot be written; safetensors would hide the reason, such as a full disk, in its own error.

    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path.touch()
    rights = path.stat().st_mode
    # contiguous(): a view cannot be written. Neither call copies what needs none.
    whole = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    try:
        save_file(whole, path, metadata=dict(metadata or {}))
    except SafetensorError as error:
        found = _SYSTEM_ERROR.search(str(error))
        number = int(found[1]) if found else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error
    path.chmod(rights)
