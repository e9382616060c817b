"""Reads algebra in plain text: powers, products, functions, and operators between their terms."""

import re

from vocoder.text.normalisation.numbers import NUMBER, cardinal
from vocoder.text.normalisation.rules import Rule, rule, spaced
from vocoder.text.pronunciation.pronouncer import in_lexicon

_POWERS = {"2": "squared", "3": "cubed"}
_UNIT = re.compile(r"(?:\d ?|/)(?:[cmkn]?m|ft|in|mi|s|μm|yd)$")
_EQUATION = re.compile(r"=|\b[a-z]\^|\^\d")


def _power(match: re.Match[str]) -> str | None:
    base, sign, power = match["base"], match["sign"], match["power"]
    if not sign and _UNIT.search(match.string, max(0, match.start() - 4), match.end("base")):
        return None  # a squared or cubed length is a unit
    minus = {"-": "minus ", "+": "plus "}.get(sign, "")
    read = cardinal(power) if power.isdigit() else power.upper()
    words = _POWERS.get(power, "") if not minus else ""
    raised = f"{_letters(base)} {words or f'to the power of {minus}{read}'}"
    return spaced(match, raised)


def _letters(base: str) -> str:
    """The base of a power: the product ``mc`` is two letters."""
    if base.isalpha() and (len(base) == 1 or (len(base) < 4 and not in_lexicon(base))):
        return " ".join(base.upper())
    return base


def _term(match: re.Match[str]) -> str | None:
    """``3x`` as 'three X' in an expression."""
    return f"{cardinal(match[1])} {match[2].upper()}"


def _algebraic(match: re.Match[str]) -> str | None:
    return _term(match) if _EQUATION.search(match.string) else None


def _function(match: re.Match[str]) -> str:
    primes = {"": "", "'": " prime", '"': " double prime"}[match[2].replace("''", '"')]
    arguments = re.sub(r"-(?=\w)", "minus ", match[3]).replace(",", ", ")
    return f"{match[1].upper()}{primes} of {_upper(arguments)}"


def _upper(text: str) -> str:
    return re.sub(r"\b[a-z]\b", lambda letter: letter[0].upper(), text)


def _over(match: re.Match[str]) -> str:
    return f"{match[1].upper()} over {match[2].upper()}"


def _derivative(match: re.Match[str]) -> str:
    return f"D {match[1].upper()} D {match[2].upper()}"


_FUNCTIONS = {
    "sin": "sine", "cos": "cosine", "tan": "tangent", "log": "log", "ln": "natural log",
    "exp": "exp", "sqrt": "the square root", "max": "max", "min": "min",
}  # fmt: skip
_VARIABLE = "[a-zA-Z]"
_OPERATOR = r" ?[-+*/=<>×÷±≤≥≠≈] ?"
_OPERAND = r"[\d(a-zA-Z√-]"

RULES: tuple[Rule, ...] = (
    rule(r"(?<![\w.])(\d{1,6}(?:\.\d{1,6})?) ?[x×*·] ?(?=10 ?\^)",
         lambda match: f"{cardinal(match[1])} times "),
    rule(r"(?<![\w'])([fghFGPQuvy])('{0,2}|\")\(( ?-?[\w.]{1,4}(?:, ?-?[\w.]{1,4}){0,3} ?)\)",
         _function),
    rule(r"(?P<base>\d{1,9}(?:\.\d{1,9})?|(?<![A-Za-z])[A-Za-z]{1,3}|\)|(?<=[A-Za-z]{3})[a-z])"
         r" ?\^ ?"
         r"[({]?(?P<sign>[-+]?)(?P<power>\d{1,6}|[a-zA-Z])[)}]?(?![\w^])", _power),
    rule(r"\bd([a-z])/d([a-z])\b", _derivative),
    rule(r"\bP\(([A-Z])\|([A-Z])\)", r"P of \1 given \2"),
    rule(r"\b(sin|cos|tan|log|ln|exp|sqrt|max|min)\((?=[^()]{1,20}\))",
         lambda match: f"{_FUNCTIONS[match[1]]} of ("),
    rule(r"\b(sin|cos|tan)(?= (?:[a-z]|theta|alpha|\d{1,3}°?)(?!\w))",
         lambda match: _FUNCTIONS[match[1]]),
    rule(r"(?<![\w.])([a-z]{2})(?= ?[+*/=]| - )",
         lambda match: " ".join(match[1].upper())
         if _EQUATION.search(match.string) and not in_lexicon(match[1]) else None),
    rule(r"(?<![\w/.'-])([a-hj-z]|\d{1,4}) ?/ ?([a-hj-z])(?![\w/.'-])(?<! m/s)(?<!\d /[a-z])",
         lambda match: _over(match) if match[1].isdigit() or " " in match[0] else None),
    rule(r"(?<![\w/.'-])([b-hj-z])/(\d{1,3})(?![\w/.])", _over),
    rule(r"\) ?/ ?(?=[\d(a-z])", ") over "),
    rule(r"(?<![\w/.'-])(?<!\d )([a-df-hj-np-vx-z])/([a-df-hj-np-z])(?![\w/.'-])(?<!\bb/c)"
         r"(?<!\ba/c)(?<!\bn/a)"
         r"(?<!\bc/o)(?<!\bs/b)", _over),
    rule(r"(?<![\w.])(\d{0,4}[b-hj-z]|\d{1,4}a|\)) - (?=\d{0,4}[a-hj-z]\b|\d|\()", r"\1 minus "),
    rule(r"(?<![\w.])(\d{1,6}) - (?=\d{0,4}[b-fijln-rt-z]\b)", r"\1 minus "),
    rule(rf"(?<![\w.])(\d{{1,4}}(?:\.\d{{1,3}})?)([a-z])(?= ?[+*/=^] ?{_OPERAND}| minus )"
         r"(?<![\d][dhms])", _term),
    rule(r"(?<=[-+*/=] )(\d{1,4}(?:\.\d{1,3})?)([abcnpqrtuvwxyz])(?![\w'])", _term),
    rule(r"(?<=[-+*/=(])(\d{1,4})([abcnpqrtuvwxyz])(?![\w'])", _term),
    rule(r"(?<![\w.])(\d{1,4})([a-z])(?![\w'])", lambda match:
         _algebraic(match) if match[2] in "abcnpqrtuvwxyz" else None),
    rule(r"(?<![\w'])(\d{1,4}|[A-Za-z])\((?=[^()]{1,40}[-+*/][^()]{1,40}\))",
         lambda match: f"{match[1]} times ("),
    rule(r"\)\((?=[^()]{1,40}\))", ") times ("),
    rule(r"(?<![\w'])(n|k|m|x|\d{1,3})!(?= ?[-+*/=)])", r"\1 factorial"),
    rule(r"^(n|k|m|x)!$", r"\1 factorial"),
    rule(r"(?<!\|)\|([^|\s]{1,12})\|(?!\|)", r"the absolute value of \1 "),
    rule(r"(?<=[\d)A-Za-z]) - (?=[\d(A-Za-z-][^=]{0,60}=)(?=(?:\d|\(|-|[A-Za-z]\b))", " minus "),
    rule(r"(?<=[=] )-(?=[A-Za-z(])|(?<=[=(])-(?=[A-Za-z(])", "minus "),
    rule(r"(?<==)([^=]{0,60}[\d)A-Za-z]) - (?=[\d(]|[A-Za-z]\b)", r"\1 minus "),
    rule(r"(?<=\b\d [A-Za-z]) - (?=[\d(]|[A-Za-z]\b)|(?<=\w squared) - (?=[\d(]|"
         r"[A-Za-z]\b)", " minus "),
    rule(r"(?<=[a-z] [A-Z]) - (?=\d|\(|[A-Za-z]\b)", " minus "),
    rule(r"(?<=\d) - -(?=\d)", " minus minus "),
    rule(r"(?<=[a-z]{2} )-(?=[a-zA-Z]\b(?![^=]{0,200}=))", "dash "),
    rule(r"(?<![\w)'.-])-([b-zB-Z])(?![\w'-])", r"minus \1"),
    rule(r"(?<=[\w)]) ?\* ?(?=[\w(])", " times "),
    rule(rf"(?<![\w.])({NUMBER}) ?/ ?({NUMBER})(?= ?=)",
         lambda match: f"{cardinal(match[1])} divided by {cardinal(match[2])}"),
    rule(r"(?<![A-Za-z0-9_])([A-Za-z])_\{?([A-Za-z0-9]{1,2})\}?(?!\w)",
         lambda match: f"{match[1].upper()} {'' if match[2].isdigit() else 'sub '}{match[2]}"),
    rule(r"(?<=[A-Za-z\d) ])\bd([xyztuvrs])\b",
         lambda match: f"D {match[1].upper()}" if "integral" in match.string else None),
    rule(r"√ ?\(?(\w{1,12})\)?", r"the square root of \1"),
)  # fmt: skip
"""Applied before amounts, and after dates, whose signs are also operators."""
