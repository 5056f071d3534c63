"""A real Ray cluster on this machine whose nodes come and die on command: python -m tests.annotation.ray_nodes FOLDER.

It says its address, then answers each line on standard input: `add`, `add PYTHONPATH`, `freeze` and `kill`, which mean
the node that was added last, and `actors`, which counts those of EQN. All ends with its standard input, so that nothing
outlives the test process, however that ends; FOLDER is removed.
"""

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

FOLDER = sys.argv[1] if __name__ == "__main__" else ""
if FOLDER:  # read when Ray is imported; its actors are not to stand back behind whatever else runs here
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": FOLDER, "RAY_worker_niceness": "0"}


def children(parent: int) -> list[int]:
    """Give the processes below one."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"\nPPid:\t{parent}\n" in status.read_text():
                child = int(status.parent.name)
                found += [child, *children(child)]
    return found


def actors(of: int) -> list[int]:
    """Give the processes below one that annotate."""
    found = []
    for child in children(of):
        with contextlib.suppress(OSError):
            if b"ShardActor" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def raylet(node: object) -> int:
    return int(node.all_processes["raylet"][0].process.pid)  # type: ignore[attr-defined]


def send(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def main() -> None:
    from ray.cluster_utils import Cluster

    def say(what: object) -> None:
        print(what, file=answers, flush=True)

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Ray prints
    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False})
    added = []
    try:
        say(cluster.address)
        for line in iter(sys.stdin.readline, ""):
            command, *path = line.split()
            if command == "add":
                environment = {"env_vars": {"PYTHONPATH": path[0]}} if path else {}
                added.append(cluster.add_node(**environment))
            elif command == "freeze":
                send(actors(raylet(added[-1])), signal.SIGSTOP)
            elif command == "kill":
                node = added.pop()
                processes = [raylet(node), *children(raylet(node))]
                send(processes, signal.SIGKILL)
                cluster.remove_node(node, allow_graceful=False)
                cluster.wait_for_nodes(timeout=120)  # until the others know: its CPU would be counted on
            say(len(actors(os.getpid())))
    finally:
        cluster.shutdown()
        shutil.rmtree(FOLDER, ignore_errors=True)


if __name__ == "__main__":
    main()
