"""A release in which whatever a stranger may name or write tries to run, to reach out, or to turn the page around."""

from eqn.corpus.contract import Reason
from eqn.records import Drift, DriftComparison, DriftMeasure
from tests.pages.conftest import Given, Row, rejected

ATTACKS = (
    "<script>alert('script')</script>",
    "</script><script>alert('closed')</script>",
    "</style><script>alert('style')</script>",
    "<img src=x onerror=alert('img')>",
    '<svg onload="alert(1)"><a href="http://attacker.invalid/">x</a></svg>',
    "<iframe src=http://attacker.invalid/></iframe>",
    '"><input autofocus onfocus=alert(1)><a href="',
    "' onmouseover='alert(1)' x='",
    "<!-- <base href=http://attacker.invalid/>",
    "</title><meta http-equiv=refresh content='0;url=http://attacker.invalid/'>",
    "<style>@import url(http://attacker.invalid/a.css); * { display: none }</style>",
    "<details open ontoggle=alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 7 }} {% for x in y %} ${7*7} #{7*7}",
    "&lt;script&gt; &#60;img&#62; &amp;",
    "\u202egnp.exe\u202c \u2067rtl\u2069",
    "zero\u200bwidth\ufeffspace \u00ad soft",
    "\x01\x02\x1b[31mred\x7f",
    "مرحبا بالعالم, עולם and English",
    "Z\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309\u030a\u030b\u030c" * 30,
    "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
    "\u2028line\u2029paragraph",
    "a" * 5_000,
)
"""What strangers write."""

LONG = "<b>" + "word " * 200_000
"""A text of a million characters."""

EMOTION_OF = ("joy", "anger", "fear", "love", "surprise", "grief", "pride", "relief")

INPUTS = (
    Given(
        "<img src=x onerror=alert('file')>.csv",
        [
            [
                Row(text, {EMOTION_OF[place % len(EMOTION_OF)]: 0.9 - place / 100}, id=f"{text[:30]}{place}")
                for place, text in enumerate((*ATTACKS, LONG))
            ]
        ],
        [
            rejected(place, attack.encode(), Reason.BAD_QUOTING, f"found {attack}")
            for place, attack in enumerate(ATTACKS[:3])
        ],
    ),
    Given("second\u202e</code>.csv", [[Row("plain", {"joy": 0.5}, id=f"{ATTACKS[0][:30]}0")]]),
)

DRIFT = Drift(
    dataset="hostile",
    release=1,
    rows=24,
    comparisons=tuple(
        DriftComparison(attack, 3, (DriftMeasure(attack, attack, 0.9, 0.1, f"more often: {attack}"),))
        for attack in ATTACKS[:4]
    ),
    notes=ATTACKS[:4],
)

MODEL = {"name": "<script>alert('model')</script>", "version": 1, "digest": "</code><script>alert(1)</script>"}
