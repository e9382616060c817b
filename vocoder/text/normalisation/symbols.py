"""Signs that are read as words, and those that are passed over."""

import re

from vocoder.text.normalisation.rules import Rule, rule

_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " ", "#39": "'"}
_LENGTH = re.compile(r"\d ?(?:[cmk]?m|ft)$")  # its square is a unit
_POWERS = {"2": " squared", "3": " cubed"}


def _power(found: re.Match[str]) -> str | None:
    if _LENGTH.search(found.string, max(0, found.start() - 6), found.start()):
        return None
    minus = "minus " if found[1] else ""
    return _POWERS.get(found[2] if not minus else "", f" to the power of {minus}{found[2]}")


BEFORE_NUMBERS: list[Rule] = [
    rule(r"&(amp|lt|gt|quot|apos|nbsp|#39);", lambda found: _ENTITIES[found[1]]),
    rule(r"</?[A-Za-z][^<>]{0,200}>", " "),
    rule(r"(?<!\w)(?:[:;=]['o-]?[)(\]\[DPp|*\\/]+|<3+)(?!\w)", " "),
    rule(r"(?:-{1,2}|={1,2})>|[→⇒➔➜⟶]", " to "),
    rule(r"<-{1,2}|[←⇐↔]", " "),
    rule(r"([A-Za-z])\+\+", r"\1 plus plus"),
    rule(r"\b([CF])#", r"\1 sharp"),
    rule(r"\b([A-F])-(?=[\s,.;!?]|$)", r"\1 minus"),
    rule(r"#(?=\d)", "number "),
    rule(r"#(?=\w)", "hashtag "),
    rule(r"(?<!\w)@(?=\w)", "at "),
    rule(r"\b(s?he)/(s?he)\b", r"\1 or \2"),
    rule(r"\b(his|him|her|hers)/(hers?|his|him)\b", r"\1 or \2"),
    rule(r"(?<=\d) ?x ?(?=\d)", " by "),
    rule(r"(?<=\d)x(?!\w)", " times"),
    rule(r"(?<=[\w)]) ?\^ ?(-?)(\d{1,6})(?!\w)", _power),
    rule(r"(?<=[\d)]) - (?=[\d(][^=]{0,60}=)", " minus "),
    rule(r"(?<=[\d)A-Za-z]) ?\* ?(?=[\d(])", " times "),
    rule(r"~ ?(?=[\d$£€])", "about "),
    rule(r"(?<=\d) ?/ ?(?=\d+ ?=)", " divided by "),
    rule(r"(?<=\d)%? ?[-–—] ?(?=[$£€]?\d+(?:\.\d+)?%)", " to "),
    rule(r"(?<![\w.$£€¥₹-])(?!\d{3}-\d{4}(?!\d))"
         r"(\d{1,4}|\d{1,3},\d{3}|\d{1,4}\.\d{1,4})[-–—]"
         r"(?=(?:\d{1,4}|\d{1,3},\d{3}|\d{1,4}\.\d{1,4})(?![\d-]|\.\d|,\d))", r"\1 to "),
    rule(r"(?<=\d) [–-] (?=\d)", " to "),
]  # fmt: skip

_READ = {
    "&": "and", "+": "plus", "=": "equals", "%": "percent", "‰": "per thousand", "@": "at",
    "#": "hash", "\\": "backslash", "<": "less than", ">": "greater than", "×": "times",
    "÷": "divided by", "±": "plus or minus", "√": "the square root of",
    "≤": "less than or equal to", "≥": "greater than or equal to",
    "≠": "is not equal to", "≈": "is approximately",
    "∞": "infinity", "§": "section", "¶": "paragraph", "©": "copyright", "°": "degrees",
    "$": "dollars", "£": "pounds", "€": "euros", "¥": "yen", "¢": "cents", "μ": "mu", "Ω": "ohms",
    "∑": "sum", "∫": "integral", "∂": "partial", "₿": "bitcoin", "₹": "rupees",
}  # fmt: skip
AFTER_NUMBERS: list[Rule] = [
    rule(r"<=", " less than or equal to "),
    rule(r">=", " greater than or equal to "),
    rule(r"!=", " is not equal to "),
    rule(r"={2,}", " equals "),
    rule(rf"([{re.escape(''.join(_READ))}])\1*", lambda found: f" {_READ[found[1]]} "),
    rule(r"[_/~^*'\"]{2,}", " "),
    rule(r"[_/~^*]", " "),
]
