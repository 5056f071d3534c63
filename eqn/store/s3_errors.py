"""What the errors of an S3 service and of its client mean for a person.

Only the service's error code is shown, never its message or the client's: those may repeat what was signed, or the
credentials in an endpoint's URL.
"""

import dataclasses
from typing import Any

from eqn.errors import EqnError, StorageFull, StoreUnavailable, UsageError

NOT_THERE = frozenset({"NoSuchKey", "404"})
"""Error codes that say that there is no such key, as against no such bucket."""

_AGAIN = "then run the same command again: finished work is kept."
_ENDPOINT = f"Check AWS_ENDPOINT_URL and the network, {_AGAIN}"
_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE)"


@dataclasses.dataclass(frozen=True, slots=True)
class _Meaning:
    reason: str
    """What is wrong, after "but"."""
    todo: str
    lasting: bool = False
    """Whether another try meets the same."""


_DENIED = _Meaning(
    "these credentials have no permission for it",
    f"Ask for the right to list, read, write and delete there, or correct {_KEYS}, {_AGAIN}",
    lasting=True,
)
_EXPIRED = _Meaning("the session's credentials are no longer valid", f"Get new ones, {_AGAIN}", lasting=True)
_SKEWED = _Meaning(
    "this machine's clock differs too much from the service's",
    f"Set the clock (it should follow NTP), {_AGAIN}",
    lasting=True,
)
_ELSEWHERE = _Meaning(
    "the bucket belongs to another region", f"Set AWS_REGION to the bucket's region, {_AGAIN}", lasting=True
)
_MEANINGS = {
    "AccessDenied": _DENIED,
    "AuthorizationHeaderMalformed": _ELSEWHERE,
    "BadDigest": _Meaning("the bytes were damaged on their way", "Run the same command again: finished work is kept."),
    "ExpiredToken": _EXPIRED,
    "InvalidAccessKeyId": _Meaning(
        "the service does not know the access key", f"Correct {_KEYS}, {_AGAIN}", lasting=True
    ),
    "InvalidToken": _EXPIRED,
    "NotImplemented": _Meaning(
        "the service lacks what EQN builds on", "Use one that honours If-None-Match on PutObject.", lasting=True
    ),
    "PermanentRedirect": _ELSEWHERE,
    "RequestExpired": _SKEWED,
    "RequestTimeTooSkewed": _SKEWED,
    "SignatureDoesNotMatch": _Meaning(
        "the secret key does not belong to the access key", f"Correct {_KEYS}, {_AGAIN}", lasting=True
    ),
}
_NONE = _Meaning("there are no credentials, or only half of them", f"Set {_KEYS}, {_AGAIN}", lasting=True)
_UNFETCHED = _Meaning("the credentials cannot be fetched", f"Sign in anew, {_AGAIN}")
_LATE = _Meaning("the service does not answer in time", _ENDPOINT)
_UNREACHED = _Meaning("the service cannot be reached", _ENDPOINT)
_FAILURES = {
    "ConnectTimeoutError": _LATE,
    "ConnectionError": _UNREACHED,
    "CredentialRetrievalError": _UNFETCHED,
    "HTTPClientError": _UNREACHED,
    "NoCredentialsError": _NONE,
    "PartialCredentialsError": _NONE,
    "ProfileNotFound": _NONE,
    "ReadTimeoutError": _LATE,
    # What botocore ends in when a service that is not Amazon's redirects: it asks where the bucket is, for ever.
    "RecursionError": _Meaning(
        "it redirects to another address", f"Check whether AWS_ENDPOINT_URL should start with https://, {_AGAIN}"
    ),
    "SSLError": _Meaning(
        "no trusted TLS connection can be made",
        f"Use http:// where there is no TLS, or name the authority in AWS_CA_BUNDLE, {_AGAIN}",
    ),
    "SSOError": _UNFETCHED,
    "TokenRetrievalError": _UNFETCHED,
}
"""Meanings of botocore's classes of errors; of several that fit, the most special one counts."""
_BAD_ADDRESS = {"ParamValidationError", "EndpointProviderError"}
_BAD_SETTINGS = {"InvalidRegionError", "ConfigParseError", "InvalidConfigError"}


def translated(error: Exception, address: str, endpoint: str) -> EqnError:
    """Give the EQN error that says what `error`, from boto3, means for someone who uses `address` at `endpoint`."""
    from botocore.exceptions import ClientError

    place = f"{address} at {without_user(endpoint)}" if endpoint else address
    if isinstance(error, ClientError):
        return _refusal(error, place, address)
    return _failure(error, place)


def code_of(error: Any) -> str:
    """Give the error code in a service's answer; the HTTP status where the answer had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: Any) -> int:
    """Give the HTTP status of a service's answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def without_user(url: str) -> str:
    """Give a URL without the user and password that it may hold.

    >>> without_user("https://me:secret@host:9000/s3")
    'https://host:9000/s3'
    """
    scheme, found, rest = url.rpartition("://")
    return scheme + found + rest.rpartition("@")[2]


def _refusal(error: Any, place: str, address: str) -> EqnError:
    """Translate an answer of the service."""
    code, status = code_of(error), status_of(error)
    bucket = address.removeprefix("s3://").partition("/")[0]
    if code == "InvalidBucketName":
        return invalid_bucket(bucket)
    if status == 507 or "QuotaExceeded" in code or "StorageFull" in code:
        return StorageFull(
            f"expected room to write {place}, but the storage is full or its quota is used up ({code}).",
            todo=f"Free some space or raise the quota, {_AGAIN}",
        )
    if code in _MEANINGS:
        meaning = _MEANINGS[code]
    elif code == "NoSuchBucket":
        create = f"Create it (aws s3 mb s3://{bucket}) or correct the address, {_AGAIN}"
        meaning = _Meaning(f"there is no bucket {bucket!r}", create, lasting=True)
    elif status in {401, 403}:
        meaning = _DENIED
    elif status == 429 or status >= 500 or code in {"SlowDown", "RequestTimeout"}:
        reason = f"the service is overloaded or broken ({code}), which several attempts did not change"
        meaning = _Meaning(reason, f"Wait a while, {_AGAIN}")
    else:
        reason = f"the service refuses it ({code}, HTTP status {status})"
        meaning = _Meaning(reason, f"Check AWS_ENDPOINT_URL, AWS_REGION and the address, {_AGAIN}")
    return _unavailable(place, meaning)


def _failure(error: Exception, place: str) -> EqnError:
    """Translate what happens before there is an answer, or instead of one."""
    names = [base.__name__ for base in type(error).__mro__]
    if _BAD_ADDRESS & set(names):
        return UsageError(
            f"expected {place} to be in a bucket of an S3 service; the address or the endpoint's URL is not valid.",
            todo="Correct the address, or AWS_ENDPOINT_URL: http:// or https://, a host, and a port if it needs one.",
        )
    if _BAD_SETTINGS & set(names):
        return UsageError(
            f"expected a valid region and configuration file of the AWS client for {place}; got others ({names[0]}).",
            todo="Correct AWS_REGION, or the file that AWS_CONFIG_FILE names (default: ~/.aws/config).",
        )
    known = [_FAILURES[name] for name in names if name in _FAILURES]
    return _unavailable(
        place, known[0] if known else _Meaning(f"its answer cannot be understood ({names[0]})", _ENDPOINT)
    )


def invalid_bucket(name: str) -> UsageError:
    """Give the error of a bucket's name that no service takes."""
    return UsageError(
        f"expected s3://bucket/prefix with a bucket's name of letters, digits, dots and hyphens; got {name!r}.",
        todo="Correct the address.",
    )


def no_s3(address: str) -> StoreUnavailable:
    """Give the error of something that answers, but not as S3 does."""
    return _unavailable(address, _Meaning("what answers there is no S3 service", _ENDPOINT))


def _unavailable(place: str, meaning: _Meaning) -> StoreUnavailable:
    what = f"expected to use {place}, but {meaning.reason}."
    return StoreUnavailable(what, todo=meaning.todo, lasting=meaning.lasting)
