"""Signs that are read as words, and ranges."""

import re
import unicodedata

from vocoder.text.normalisation.rules import Rule, rule, spaced
from vocoder.text.unread import ADDRESS_BRACKETS, EMOTICON, TAG

_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " ", "#39": "'"}

MARKUP: tuple[Rule, ...] = (
    rule(ADDRESS_BRACKETS, r"\1"),
    rule(TAG, " "),
    rule(r"&(amp|lt|gt|quot|apos|nbsp|#39);", lambda match: _ENTITIES[match[1]]),
    rule(r"(?<![\w<])</?([a-z][\w -]{0,40})>(?!\w)", r" \1 "),
    rule(EMOTICON, " "),
)
"""Tags and entities; applied first."""

OPERATORS: tuple[Rule, ...] = (
    rule(r"<-{1,2}>|<={1,2}>|[↔⇔]", " to and from "),
    rule(r"(?<=[A-Za-z]) ?(?:=>|⇒) ?(?=[A-Za-z])", " implies "),
    rule(r"(?:-{1,2}|={1,2})>|[→⇒➔➜⟶]", " to "),
    rule(r"<-{1,2}|[←⇐]", " from "),
    rule(r"© ?(?=[Cc]opyright)", ""),
    rule(r"([A-Za-z])\+\+(?=[\W\d]|$)", r"\1 plus plus "),
    rule(r"\b([A-G])#(?!\w)", r"\1 sharp"),
    rule(r"(?<=[A-Za-z0-9])♭", " flat "),
    rule(r"(?<=[A-Za-z0-9])♯", " sharp "),
    rule(r"\b([A-F])-(?=[\s,.;!?]|$)", r"\1 minus"),
    rule(r"#(?=\d)", lambda match: spaced(match, "number ")),
    rule(r"(?<!\w)#(?=\w)", "hashtag "),
    rule(r"(?<!\w)@(?=\w)", "at "),
    rule(r"(?<![\w-])--(?=[a-z])", "dash dash "),
    rule(r"\b(s?he)/(s?he)\b", r"\1 or \2"),
    rule(r"\b(his|him|her|hers)/(hers?|his|him)\b", r"\1 or \2"),
    rule(r"(?<=\d) ?[x×] ?(?=\d[^=]{0,12}=)", " times "),
    rule(r"(?<=\d) × (?=\d(?!.{0,8}\d ?(?:[cmk]?m|ft|in)\b))", " times "),
    rule(r"(?<![\d])24x7(?!\d)", "twenty four seven"),
    rule(r"(?<=\d) ?[x×] ?(?=\d)", " by "),
    rule(
        r"(?<=(?:m|t|n|d)) ?[x×] ?(?=\d)|(?<=\d[\"'°]) ?[x×] ?(?=\d)|(?<=(?:in|ft)\.)"
        r" ?[x×] ?(?=\d)",
        " by ",
    ),
    rule(r"(?<=\d)[xX](?![\w'])", " times"),
    rule(r"(?<=[\d)]) - (?=[\d(][^=]{0,60}=)", " minus "),
)
"""Signs next to words and numbers; applied before numbers."""

RANGES: tuple[Rule, ...] = (
    rule(r"(?<=\d)%?(?:[-–—]| [-–—] )(?=[$£€]?\d+(?:\.\d+)?%)", " to "),
    rule(r"(?<![\w.$£€¥₹-])(?!\d{3}-\d{4}(?!\d))"
         r"(\d{1,4}|\d{1,3},\d{3}|\d{1,4}\.\d{1,4})[-–—]"
         r"(?=(?:\d{1,4}|\d{1,3},\d{3}|\d{1,4}\.\d{1,4})(?![\d/-]|\.\d|,\d))", r"\1 to "),
    rule(r"(?<=\d) [–-] (?=\d)", " to "),
    rule(r"(?<=\d[°'\"]) ?[–] ?(?=\d)", " to "),
    rule(r"(?<![\w)\]%.°'\"])-(?=\.?\d)", " minus "),
)  # fmt: skip
"""Ranges of numbers; applied after codes, dates and money, whose hyphens are not ranges."""

_READ = {
    "&": "and", "+": "plus", "=": "equals", "%": "percent", "‰": "per thousand", "@": "at",
    "#": "hash", "\\": "backslash", "<": "less than", ">": "greater than", "×": "times",
    "÷": "divided by", "±": "plus or minus", "√": "the square root of", "∓": "minus or plus",
    "≤": "less than or equal to", "≥": "greater than or equal to", "∛": "the cube root of",
    "≠": "is not equal to", "≈": "is approximately", "≡": "is equivalent to",
    "≅": "is congruent to",
    "∼": "is similar to", "∝": "is proportional to", "∞": "infinity", "§": "section",
    "¶": "paragraph", "©": "copyright", "°": "degrees", "º": "degrees", "ª": "a",
    "$": "dollars", "£": "pounds", "€": "euros", "¥": "yen", "¢": "cents", "μ": "mu", "Ω": "ohms",
    "∑": "sum", "∏": "product", "∫": "integral", "∬": "double integral", "∮": "contour integral",
    "∂": "partial", "∇": "nabla", "∆": "delta", "₿": "bitcoin", "₹": "rupees", "₩": "won",
    "₺": "lira", "₪": "shekels", "฿": "baht", "₫": "dong", "₱": "pesos", "₦": "naira",
    "₽": "rubles",
    "₴": "hryvnias", "¤": "currency", "∈": "in", "∉": "not in", "∋": "contains", "∀": "for all",
    "∃": "there exists", "∄": "there does not exist", "∅": "the empty set", "∩": "intersection",
    "∪": "union", "⊂": "is a subset of", "⊃": "is a superset of", "⊆": "is a subset of",
    "⊇": "is a superset of", "∧": "and", "∨": "or", "¬": "not", "⊕": "exclusive or",
    "⊗": "tensor", "∴": "therefore", "∵": "because", "∠": "angle", "⊥": "is perpendicular to",
    "∥": "is parallel to", "♭": "flat", "♯": "sharp", "♮": "natural", "†": "dagger",
    "‡": "double dagger", "↑": "up", "↓": "down", "⁂": "", "¦": "", "⋅": "times", "∘": "of",
    "ℏ": "H bar", "∎": "", "⌘": "command", "⌥": "option", "⇧": "shift", "⌃": "control",
}  # fmt: skip
_SQUEEZED = re.escape("".join(_READ))


def _name(match: re.Match[str]) -> str:
    """The name of a sign that no rule reads, from the Unicode character database."""
    char = match[0]
    if unicodedata.category(char) not in ("Sm", "Sc", "So"):
        return char
    name = unicodedata.name(char, "").lower().removesuffix(" sign").replace("-", " ")
    return f" {name} "


UNREAD_SIGNS: tuple[Rule, ...] = (
    rule(r"<=", " less than or equal to "),
    rule(r">=", " greater than or equal to "),
    rule(r"!=", " is not equal to "),
    rule(r":=", " is defined as "),
    rule(r"={2,}", " equals "),
    rule(r"(?<=[A-Za-z\d_])\.(?=[A-Za-z_\d])", " dot "),
    rule(r"(?<=[A-Za-z])_{1,2}(?=[A-Za-z\d])", " "),
    rule(r"(?<=\w) ?& ?(?=\w)", " and "),
    rule(rf"([{_SQUEEZED}])\1*", lambda match: f" {_READ[match[1]]} "),
    rule(r"(?<=[a-z])/(?=[a-z])|(?<=[A-Z])/(?=[A-Z])|(?<=[A-Za-z])/(?=[A-Za-z])", " "),
    rule(r"(?<=[\w)]) ?/ ?(?=[\w(])", " slash "),
    rule(r"[_/~^*'\"]{2,}", " "),
    rule(r"[^\w\s,.;:?!'\"()\[\]{}|<>/\\_~^*–—·…-]", _name),
    rule(r"[_/~^*]", " "),
)  # fmt: skip
"""Signs that no other rule has read; applied last."""
