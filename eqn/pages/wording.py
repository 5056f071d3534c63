"""How figures read on a page: shares, counts, dates and lists, in plain English."""

from collections.abc import Sequence
from datetime import UTC, datetime

SPACE = "\N{NO-BREAK SPACE}"


def percent(share: float) -> str:
    r"""Give a share as per cent, with as many digits as it deserves.

    >>> percent(0.3456), percent(0.0345), percent(0.0001), percent(0), percent(0.9999)
    ('35\xa0%', '3.5\xa0%', '<0.1\xa0%', '0\xa0%', '>99\xa0%')
    """
    if 0 < share < 0.001:
        return f"<0.1{SPACE}%"
    if 0.995 < share < 1:
        return f">99{SPACE}%"
    return f"{100 * share:.0f}{SPACE}%" if share >= 0.0995 or share == 0 else f"{100 * share:.1f}{SPACE}%"


def exact_percent(share: float) -> str:
    r"""Give a share as per cent with one decimal, for columns.

    >>> exact_percent(0.3456), exact_percent(0.0001)
    ('34.6\xa0%', '<0.1\xa0%')
    """
    return percent(share) if 0 < share < 0.001 else f"{100 * share:.1f}{SPACE}%"


def points(difference: float) -> str:
    """Give a difference of shares in percentage points.

    >>> points(0.0123), points(-0.4)
    ('+1.2', '\N{MINUS SIGN}40.0')
    """
    sign = "+" if difference > 0 else "\N{MINUS SIGN}"
    return f"{sign}{abs(100 * difference):.1f}"


def counted(count: int, one: str, many: str = "") -> str:
    """Give a count with its noun.

    >>> counted(1, "text"), counted(1200, "text"), counted(2, "entry", "entries")
    ('1 text', '1,200 texts', '2 entries')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Give words as a list in a sentence.

    >>> listed(["joy"]), listed(["joy", "love", "grief"])
    ('joy', 'joy, love and grief')
    """
    return " ".join([", ".join(words[:-1]), last, words[-1]]) if len(words) > 1 else "".join(words)


def capitalised(sentence: str) -> str:
    """Give a sentence with a capital at its start, the rest as it is."""
    return sentence[:1].upper() + sentence[1:]


def day(moment: str) -> str:
    """Give the day of an ISO 8601 time, or the text itself where it is none.

    >>> day("2026-02-03T04:05:06+00:00"), day("soon")
    ('3 February 2026', 'soon')
    """
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return f"{found.day} {found:%B %Y}"


def minute(moment: str) -> str:
    """Give day and minute of an ISO 8601 time in UTC, or the text itself where it is none.

    >>> minute("2026-02-03T04:05:06+00:00")
    '3 February 2026, 04:05 UTC'
    """
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    found = found.astimezone(UTC) if found.tzinfo else found
    return f"{found.day} {found:%B %Y, %H:%M} UTC"


def size(count: int) -> str:
    """Give a number of bytes as people say it.

    >>> size(999), size(1500), size(2_500_000)
    ('999 B', '1.5 kB', '2.5 MB')
    """
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
