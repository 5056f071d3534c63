"""Emoji as words: to BERT's vocabulary nearly every emoji is the same unknown token, whether it laughs or cries.

Each one below is read as its Unicode name ("face with tears of joy"), by the tokenizer itself: the rule stands in the
package's tokenizer.json, and no other place that reads texts needs to know of it. Skin tones and the marks that choose
how an emoji is drawn are left out.
"""

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EMOJI = (
    "😀😁😂😃😄😅😆😇😈😉😊😋😌😍😎😏😐😑😒😓😔😕😖😗😘😙😚😛😜😝😞😟😠😡😢😣😤😥😦😧😨😩😪😫😬😭😮😯😰😱😲😳😴😵😶😷"
    "🙁🙂🙃🙄🤐🤑🤒🤓🤔🤕🤗🤠🤢🤣🤤🤥🤧🤨🤩🤪🤫🤬🤭🤮🤯🥰🥱🥲🥳🥴🥵🥶🥺🥹🫠🫡🫢🫣🫤"
    "☹☺❤💔💕💖💗💘💙💚💛💜💝💞💟🖤🧡🤍❣💋💀☠💩🔥✨🎉🎊🎂🎁🏆💪👀👍👎👏👊✊✌👌🙏🤝🙌🤞🤷🤦🤟🤘👋🖕💯😹😻😿🙈🙉🙊🌹🌈"
)
"""What people feel with, by far the most of what stands in comments."""
_DRAWN = "\ufe0e\ufe0f\u200d\u2640\u2642🏻🏼🏽🏾🏿"


def name_emoji(tokenizer: "Tokenizer") -> None:
    """Let `tokenizer` read emoji as their names, from now on and wherever its file is read."""
    from tokenizers import normalizers

    rules = [normalizers.Replace(mark, "") for mark in _DRAWN]
    rules += [normalizers.Replace(emoji, f" {unicodedata.name(emoji).lower()} ") for emoji in EMOJI]
    tokenizer.normalizer = normalizers.Sequence([*rules, tokenizer.normalizer])
