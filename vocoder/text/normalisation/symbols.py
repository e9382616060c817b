"""Symbols that are read as words, and symbols that are skipped."""

import re

from vocoder.text.normalisation.rules import Rule, rule

_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " ", "#39": "'"}
_LENGTH = re.compile(r"\d ?(?:[cmk]?m|ft)$")  # a squared or cubed length is a unit
_POWERS = {"2": " squared", "3": " cubed"}


def _power(match: re.Match[str]) -> str | None:
    if _LENGTH.search(match.string, max(0, match.start() - 6), match.start()):
        return None
    minus = "minus " if match[1] else ""
    return _POWERS.get(match[2] if not minus else "", f" to the power of {minus}{match[2]}")


BEFORE_NUMBERS: list[Rule] = [
    rule(r"&(amp|lt|gt|quot|apos|nbsp|#39);", lambda match: _ENTITIES[match[1]]),
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
    rule(rf"([{re.escape(''.join(_READ))}])\1*", lambda match: f" {_READ[match[1]]} "),
    rule(r"[_/~^*'\"]{2,}", " "),
    rule(r"[_/~^*]", " "),
]
