"""The child process that opens a foreign checkpoint: a script of its own, which EQN starts and never imports.

    python -I foreign_reader.py PARENT < CHECKPOINT        PARENT: its parent's process id

It writes the checkpoint's tensors to tensors.safetensors in its working directory, and to found.json what it found:

    unconfined    what the system did not let it give up
    refused       why the checkpoint is not taken, if it is not
    errno         the system's error, if the tensors could not be written

Before a byte of the file is looked at it gives up the network, core dumps and all memory and time beyond what a plain
checkpoint of that size needs, and it ends when its parent does. torch's weights-only unpickler, which calls nothing but
what rebuilds tensors, is the first wall; this is the second, for the day on which the first has a hole.
"""

import contextlib
import ctypes
import json
import os
import re
import resource
import signal
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FILE = "/dev/fd/0"
_CPU_SECONDS = 600
_SPARE_MEMORY = 2**30
_MOST_TENSORS = 20_000
_LONGEST_NAME = 200
_NEW_USER_AND_NETWORK = 0x10000000 | 0x40000000
"""CLONE_NEWUSER | CLONE_NEWNET: a namespace of users is what allows anybody to enter a network without devices."""
_PARENT_DEATH_SIGNAL = 1


class _Refused(Exception):
    """The checkpoint is not taken; the message says why."""


def confine(parent: int, size: int) -> list[str]:
    """Give up everything that reading a file of `size` bytes does not need; name what the system did not allow.

    Ends the process when its parent, whose process id is `parent`, has gone already.
    """
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_FSIZE, size + 2**20),
    ):
        _limit(kind, limit)
    if not sys.platform.startswith("linux"):
        return ["it could have used the network", "it would have outlived this process"]
    unconfined = []
    system = ctypes.CDLL(None, use_errno=True)
    if system.unshare(_NEW_USER_AND_NETWORK):
        unconfined.append(f"it could have used the network ({os.strerror(ctypes.get_errno())})")
    if system.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0):
        unconfined.append(f"it would have outlived this process ({os.strerror(ctypes.get_errno())})")
    if os.getppid() != parent:
        sys.exit("the parent has gone")
    return unconfined


def limit_memory(size: int) -> None:
    """Allow, beyond what this process has already, the file mapped, its tensors twice, and a gibibyte."""
    with contextlib.suppress(OSError):  # no /proc: no such limit
        has = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
        _limit(resource.RLIMIT_AS, has + 3 * size + _SPARE_MEMORY)


def _limit(kind: int, limit: int) -> None:
    _, most = resource.getrlimit(kind)
    allowed = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(kind, (allowed, allowed))


def require_archive() -> None:
    """Check that standard input is what torch.save writes: a whole zip archive."""
    with open(_FILE, "rb") as file:  # noqa: PTH123  standard input, opened a second time
        head = file.read(9)
    if head[8:] == b"{":
        raise _Refused("it is a safetensors file, which no checkpoint of EQN was")
    if not head.startswith(b"PK\3\4"):
        raise _Refused("it is no archive as torch.save writes it since version 1.6")
    if not zipfile.is_zipfile(_FILE):
        raise _Refused("its end is missing")


def tensors_in(size: int) -> dict[str, Any]:
    """Give the tensors of the state dict in the checkpoint on standard input, which has `size` bytes, by name."""
    state = _state_dict(_load())
    if len(state) > _MOST_TENSORS:
        raise _Refused(f"it holds {len(state)} tensors")
    odd = [str(name)[:80] for name, value in state.items() if not _is_plain(name, value)]
    if odd:
        raise _Refused(
            f"its state dict holds {len(odd)} things that are no plain tensors, such as {', '.join(odd[:5])}"
        )
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if claimed > size:
        raise _Refused(f"its tensors are said to be {claimed} bytes, in a file of {size}")
    return {name: tensor.detach().contiguous() for name, tensor in state.items()}


def _load() -> Any:
    import pickle

    import torch

    try:
        return torch.load(_FILE, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        # torch's own message advises to load it without protection.
        named = re.search(r"GLOBAL (\S+)", str(error))
        raise _Refused(f"it holds more than tensors{f', namely {named[1][:80]}' if named else ''}") from error
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise _Refused("it is a TorchScript archive: a program, no state dict") from error
        raise


def _state_dict(whole: Any) -> dict[Any, Any]:
    if not isinstance(whole, dict):
        raise _Refused(f"it holds no dictionary but {type(whole).__name__}")
    state = whole.get("model_state_dict", whole)
    if not isinstance(state, dict):
        raise _Refused(f"its model_state_dict is no dictionary but {type(state).__name__}")
    return state


def _is_plain(name: Any, value: Any) -> bool:
    import torch

    return (
        isinstance(name, str)
        and len(name) <= _LONGEST_NAME
        and type(value) in {torch.Tensor, torch.nn.Parameter}
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and not value.is_complex()
    )


def _read(size: int) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors_in(size), "tensors.safetensors")
    except _Refused:
        raise
    except MemoryError as error:
        raise _Refused("it asks for more memory than a checkpoint of its size needs") from error
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if not number:
            raise _Refused("its tensors cannot be written") from error
        return {"errno": int(number[1])}
    except Exception as error:  # torch raises whatever a damaged file makes it meet
        raise _Refused(f"it is cut off, damaged, or claims more than it holds ({type(error).__name__})") from error
    return {}


def main() -> None:
    """Read standard input, and write what was found into the working directory."""
    size = os.fstat(0).st_size
    # Before torch is loaded: a process that has threads is given no namespaces.
    said: dict[str, Any] = {"unconfined": confine(int(sys.argv[1]), size)}
    try:
        require_archive()
        import safetensors.torch  # noqa: F401  with torch; their own memory is none of the checkpoint's

        limit_memory(size)
        said |= _read(size)
    except _Refused as refusal:
        said["refused"] = str(refusal)
    Path("found.json").write_text(json.dumps(said), "utf-8")


if __name__ == "__main__":
    main()
