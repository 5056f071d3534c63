"""The S3 service of the stack: started and ended by `infra/services/s3.sh`, with one bucket for everything."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from eqn.errors import StoreUnavailable
from infra.stack.places import PROJECT, Places
from infra.stack.programs import BUCKET

_SCRIPT = PROJECT / "infra" / "services" / "s3.sh"
_SECONDS_TO_START = 600
"""The first start fetches packages."""


def start(places: Places, port: int) -> dict[str, str]:
    """Start the service on `port`, or find it running; give the variables by which clients find it.

    Raises:
        StoreUnavailable: it does not start.

    """
    done = _call(str(places.s3), str(port))
    if done.returncode:
        raise StoreUnavailable(
            "the S3 service does not start.",
            faults=done.stderr.strip().splitlines()[-3:],
            todo=f"Read the logs in {places.s3 / 'log'}.",
        )
    link = places.logs / "s3"
    if not link.is_symlink():
        link.symlink_to(Path("..") / places.s3.name / "log")
    return variables(places)


def end(places: Places) -> None:
    """End the service, if it runs."""
    if (places.s3 / "settings").exists():
        _call("--stop", str(places.s3))


def variables(places: Places) -> dict[str, str]:
    """Give the variables by which clients find the service; none before its first start."""
    file = places.s3 / "credentials"
    if not file.exists():
        return {}
    return dict(re.findall(r"^export (\w+)=(\S+)$", file.read_text("utf-8"), re.MULTILINE))


def create_bucket(s3: Mapping[str, str]) -> None:
    """Create the stack's bucket, unless it is there.

    Raises:
        StoreUnavailable: the service does not do it.

    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=s3["AWS_ENDPOINT_URL"],
        aws_access_key_id=s3["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3["AWS_SECRET_ACCESS_KEY"],
        region_name=s3["AWS_REGION"],
        config=Config(proxies={}, connect_timeout=10, read_timeout=60),
    )
    try:
        client.create_bucket(Bucket=BUCKET)
    except client.exceptions.BucketAlreadyOwnedByYou:
        pass
    except (BotoCoreError, ClientError) as error:
        raise StoreUnavailable(f"the S3 service does not make the bucket {BUCKET!r}.", faults=[str(error)]) from error


def _call(*arguments: str) -> "subprocess.CompletedProcess[str]":
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(  # noqa: S603  our own script
        [str(_SCRIPT), *arguments], env=own, capture_output=True, text=True, check=False, timeout=_SECONDS_TO_START
    )
