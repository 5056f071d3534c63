"""What the fault proxy can do to a request: faults of the network, overload, lies about conditions, damaged bytes.

Actions that change what is signed (they say so) need a server that checks no signatures, such as moto's.
"""

import random
import re
import threading
import time
from collections import Counter
from urllib.parse import unquote_plus

from tests.store.proxy import Action, Answer, Call, failure, unavailable, value_of, with_header

# Faults of the network and of a server under load.


def lost_answer(call: Call) -> None:
    """Let the server do it, then close the connection without an answer."""
    call.forward()


def unknown_outcome(call: Call) -> None:
    """Let the server do it, answer nothing, and be down from then on."""
    call.forward()
    call.proxy.down = True


def unknown_outcome_as_503(call: Call) -> Answer:
    """Let the server do it, answer 503, and be down from then on."""
    unknown_outcome(call)
    return unavailable(call)


def slow_down(_: Call) -> Answer:
    """Answer 503 SlowDown; the server does not hear of it."""
    return failure(503, "SlowDown")


def conflict(_: Call) -> Answer:
    """Answer 409 ConditionalRequestConflict; the server does not hear of it."""
    return failure(409, "ConditionalRequestConflict")


def reset(_: Call) -> None:
    """Reset the connection; the server does not hear of it."""
    raise ConnectionResetError


def error_in_200(_: Call) -> Answer:
    """Answer 200 with an error in the body, as S3 may for a copy; the server does not hear of it."""
    return failure(200, "InternalError")


def latency(seconds: float) -> Action:
    """Forward after some time."""

    def late(call: Call) -> Answer:
        time.sleep(seconds)
        return call.forward()

    return late


def silence(seconds: float = 60.0) -> Action:
    """Take the request and say nothing until the proxy is healed, at most so long; the server does not hear of it."""

    def silent(call: Call) -> None:
        call.proxy.wait(seconds)

    return silent


# Servers that do not keep what a commit rests on. Put them on conditional puts: header="If-None-Match".


_one_at_a_time = threading.Lock()


def ignored_condition(call: Call) -> Answer:
    """Strip If-None-Match: what is there is overwritten silently. Changes what is signed."""
    with _one_at_a_time:  # moto may answer 500 when one key is overwritten by two at a time
        return call.forward(call.request.unconditional())


def refused_as_304(call: Call) -> Answer:
    """Answer 304 where 412 is right, as some servers did."""
    answer = call.forward()
    return Answer(304, with_header(answer.headers, "Content-Length", None)) if answer.status == 412 else answer


def refused_as_200(call: Call) -> Answer:
    """Answer 200 to a put that was refused."""
    answer = call.forward()
    return Answer(200, [("ETag", '"0"')]).resized(b"") if answer.status == 412 else answer


def refused_then_overwritten(call: Call) -> Answer:
    """Overwrite after all what a put was refused for, and answer 200. Changes what is signed."""
    answer = call.forward()
    return ignored_condition(call) if answer.status == 412 else answer


def check_then_write(pause: float = 0.01) -> Action:
    """Check the condition, wait, write: right for one writer, wrong for two at a time. Changes what is signed."""
    written: set[str] = set()

    def checked_too_early(call: Call) -> Answer:
        if call.request.key in written:
            return failure(412, "PreconditionFailed")
        time.sleep(pause)
        written.add(call.request.key)
        return ignored_condition(call)

    return checked_too_early


# Services that copy. Put these on copies: header="x-amz-copy-source". Moto ignores their conditions.


def _looked_at(call: Call, path: str) -> Answer:
    return call.proxy.ask(call.request.unconditional()._replace(method="HEAD", path=path))


def _taken(call: Call) -> bool:
    return call.request.header("If-None-Match") == "*" and _looked_at(call, call.request.path).status == 200


def _changed(call: Call) -> bool:
    source, etag = call.request.header("x-amz-copy-source"), call.request.header("x-amz-copy-source-if-match")
    return etag is not None and value_of(_looked_at(call, f"/{source}").headers, "ETag") != etag


def honoured_copy(call: Call) -> Answer:
    """Keep to a copy's conditions on target and source, checked and copied in one step, as Amazon's S3 does."""
    with _one_at_a_time:
        return failure(412, "PreconditionFailed") if _taken(call) or _changed(call) else call.forward()


def copy_refused_as(status: int) -> Action:
    """Refuse a copy onto a key that is there with another status than 412; 200 claims that it was made."""

    def refused(call: Call) -> Answer:
        answer = honoured_copy(call)
        if answer.status != 412:
            return answer
        etag = "<CopyObjectResult><ETag>0</ETag></CopyObjectResult>"
        return Answer(status, [("Content-Type", "application/xml")]).resized(etag.encode() if status == 200 else b"")

    return refused


def copy_refused_and_made(call: Call) -> Answer:
    """Answer 412 to a copy onto a key that is there, and make it."""
    taken = _taken(call)
    answer = call.forward()
    return failure(412, "PreconditionFailed") if taken else answer


def copy_checked_too_early(pause: float = 0.2) -> Action:
    """Check whether the key is there, wait, copy: right for one copy, wrong for two at a time."""

    def checked_too_early(call: Call) -> Answer:
        if _taken(call):
            return failure(412, "PreconditionFailed")
        time.sleep(pause)
        with _one_at_a_time:
            return call.forward()

    return checked_too_early


def copy_of_nothing(call: Call) -> Answer:
    """Answer 200 to a copy and put no bytes there."""
    answer = honoured_copy(call)
    if answer.status == 200:
        kept = [(name, value) for name, value in call.request.headers if not name.lower().startswith("x-amz-copy")]
        call.proxy.ask(call.request._replace(headers=kept).unconditional())
    return answer


def stale_reads(reads: int, *, after: str = "PUT DELETE", known: bool | None = None) -> Action:
    """Answer the next `reads` GETs and HEADs of a key after a write as if nothing had been written since its last GET.

    So an overwritten or deleted key has the content that was read last, and one that was never read is not there.
    `after` names the writes that go unseen; `known` restricts them to keys that were read before, or were not.
    """
    seen: dict[str, Answer] = {}
    stale: Counter[str] = Counter()

    def stale_read(call: Call) -> Answer:
        key, method = call.request.key, call.request.method
        if method in {"GET", "HEAD"} and stale[key] > 0:
            stale[key] -= 1
            return seen.get(key, failure(404, "NoSuchKey"))
        answer = call.forward()
        if method == "GET" and answer.status == 200:
            seen[key] = answer
        elif method in after.split() and known in {None, key in seen}:
            stale[key] = reads
        return answer

    return stale_read


def hidden_from_lists(lists: int) -> Action:
    """Leave each new key out of the first `lists` listings that should show it. For all requests: it must see puts."""
    hidden: Counter[str] = Counter()

    def shown(entry: str) -> bool:
        name = re.search(r"^<Contents>.*?<Key>(.*?)</Key>", entry, re.DOTALL)
        if not name or hidden[key := unquote_plus(name[1])] <= 0:
            return True
        hidden[key] -= 1
        return False

    def hide(call: Call) -> Answer:
        answer = call.forward()
        if call.request.method == "PUT" and answer.status == 200:
            hidden[call.request.key] = lists
        if call.request.key or answer.status != 200:
            return answer
        entries = re.split(r"(<Contents>.*?</Contents>)", answer.body.decode(), flags=re.DOTALL)
        return answer.resized("".join(filter(shown, entries)).encode())

    return hide


# Bytes that change on their way.


def _flipped(body: bytes, place: int) -> bytes:
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


def flipped_get(call: Call) -> Answer:
    """Flip a bit in the middle of an object that is read."""
    answer = call.forward()
    damaged = call.request.key and call.request.method == "GET" and answer.status in {200, 206} and answer.body
    return answer._replace(body=_flipped(answer.body, len(answer.body) // 2)) if damaged else answer


def truncated_get(call: Call) -> Answer:
    """Give half of an object that is read, as if it were all."""
    answer = call.forward()
    damaged = call.request.key and call.request.method == "GET" and answer.status in {200, 206}
    return answer.resized(answer.body[: len(answer.body) // 2]) if damaged else answer


def interrupted_get(call: Call) -> Answer:
    """Announce an object as it is, send half of it and close the connection."""
    answer = call.forward()
    return answer._replace(body=answer.body[: len(answer.body) // 2]) if call.request.key else answer


def flipped_put(call: Call) -> Answer:
    """Flip a bit of an object that is written. Changes what is signed."""
    body = call.request.body
    # The first line of a body in chunks is a size.
    first = body.index(b"\r\n") + 2 if "aws-chunked" in (call.request.header("Content-Encoding") or "") else 0
    return call.forward(call.request._replace(body=_flipped(body, first)) if len(body) > first else None)


def damaged(draw: random.Random, *, cut: bool, etag: bool = True) -> Action:
    """Flip a random bit of an object on its way, or `cut` it at a random place and say that this is all.

    Without `etag` the answer's ETag is no MD5, as where an object is encrypted or was put in parts. Changes what is
    signed.
    """

    def spoilt(body: bytes) -> bytes:
        place = draw.randrange(len(body))
        return body[:place] if cut else body[:place] + bytes([body[place] ^ 1 << draw.randrange(8)]) + body[place + 1 :]

    def damage(call: Call) -> Answer:
        request = call.request
        if request.method == "PUT":
            body = spoilt(request.body)
            headers = with_header(request.headers, "Content-Length", str(len(body)))
            return _without_md5(call.forward(request._replace(headers=headers, body=body)), etag=etag)
        answer = call.forward()
        if request.method == "GET" and request.key and answer.status == 200 and answer.body:
            answer = answer.resized(spoilt(answer.body))
        return _without_md5(answer, etag=etag)

    return damage


def _without_md5(answer: Answer, *, etag: bool) -> Answer:
    given = value_of(answer.headers, "ETag")
    return answer if etag or given is None else answer._replace(headers=with_header(answer.headers, "ETag", '"none-1"'))
