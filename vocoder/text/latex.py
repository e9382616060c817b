r"""Reads LaTeX as language models write it: ``$x^2$``, ``\frac{1}{2}``, ``\( a \le b \)``.

A formula becomes words before Markdown is removed, because its signs are also Markdown's. A
command outside a formula is read with its own arguments.
"""

import re
from collections.abc import Iterator, Sequence

from vocoder.text.normalisation.numbers import cardinal, fraction

_BODY = r"(?:(?![.!?]\s|\n\s*\n|\\[()\[\]])[\s\S])"
_FORMULA = re.compile(
    rf"\\\((?P<round>{_BODY}{{1,500}}?)\\\)|\\\[(?P<square>{_BODY}{{1,800}}?)\\\]"
    r"|\$\$(?P<display>(?:(?![.!?]\s|\n\s*\n)[^$]){1,800})\$\$"
    r"|(?<![\w$\\])\$(?P<inline>(?=[^\s$])(?:(?![.!?]\s)[^$\n]){1,300}(?<=\S))\$(?![\w$])"
)
_DEGREES = re.compile(r" ?\^ ?\{?\\circ\b\}?")
_MATHEMATICAL = re.compile(
    r"[\\^_=<>]|^[A-Za-z]'?$|^-?\d*[A-Za-z](?: ?[-+*/] ?\w+)+$|^\d+ ?[-+*/] ?\w"
)
_COMMAND = re.compile(r"\\[A-Za-z]{1,20}")
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\d+(?:,\d{3})*(?:\.\d+)?|[A-Za-z]|[{}^_]|[^\s\w]")
_WINDOWS = re.compile(r"(?:[A-Za-z]:|\\)\\[^\s]*|\S*\\\\\S*")
_MAX_DEPTH = 12

_GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "pi",
    "rho",
    "sigma",
    "tau",
    "upsilon",
    "phi",
    "chi",
    "psi",
    "omega",
]
_WORDS = {
    "times": "times", "cdot": "times", "div": "divided by", "pm": "plus or minus",
    "mp": "minus or plus", "leq": "is less than or equal to", "le": "is less than or equal to",
    "geq": "is greater than or equal to", "ge": "is greater than or equal to", "lt": "is less than",
    "gt": "is greater than", "neq": "is not equal to", "ne": "is not equal to",
    "approx": "is approximately", "equiv": "is equivalent to", "sim": "is similar to",
    "cong": "is congruent to", "propto": "is proportional to", "to": "to", "rightarrow": "to",
    "longrightarrow": "to", "leftarrow": "from", "implies": "implies", "Rightarrow": "implies",
    "iff": "if and only if", "Leftrightarrow": "if and only if", "mapsto": "maps to", "in": "in",
    "notin": "not in", "subset": "is a subset of", "subseteq": "is a subset of",
    "supset": "is a superset of", "cup": "union", "cap": "intersection", "setminus": "minus",
    "emptyset": "the empty set", "varnothing": "the empty set", "forall": "for all",
    "exists": "there exists", "neg": "not", "land": "and", "lor": "or", "wedge": "and",
    "vee": "or", "infty": "infinity", "partial": "partial", "nabla": "nabla", "mid": "given",
    "angle": "angle", "perp": "is perpendicular to", "parallel": "is parallel to",
    "degree": "degrees", "circ": "composed with", "prime": "prime", "therefore": "therefore",
    "because": "because", "ldots": ", and so on,", "dots": ", and so on,", "cdots": ", and so on,",
    "sin": "sine", "cos": "cosine", "tan": "tangent", "cot": "cotangent", "sec": "secant",
    "csc": "cosecant", "log": "log", "ln": "natural log", "exp": "exp", "max": "max", "min": "min",
    "lim": "limit", "sum": "sum", "prod": "product", "int": "integral", "iint": "double integral",
    "oint": "contour integral", "det": "determinant", "dim": "dimension", "gcd": "G C D",
    "mod": "mod", "bmod": "mod", "pmod": "mod", "ast": "times", "star": "star", "hbar": "h bar",
    "ell": "L", "Re": "real part of", "Im": "imaginary part of", "dagger": "dagger",
    "oplus": "direct sum", "otimes": "tensor", "percent": "percent", "arcsin": "arc sine",
    "arccos": "arc cosine", "arctan": "arc tangent", "sinh": "hyperbolic sine",
    "cosh": "hyperbolic cosine", "tanh": "hyperbolic tangent", "LaTeX": "LaTeX", "TeX": "tech",
} | {name: name for name in _GREEK} | {name.capitalize(): name for name in _GREEK} | {
    f"var{name}": name for name in _GREEK
}  # fmt: skip
_BIG = {"sum", "prod", "int", "iint", "oint", "lim", "max", "min"}
_FRACTIONS = {"frac", "dfrac", "tfrac", "cfrac"}
_PLAIN = {
    "text", "textbf", "textit", "mathrm", "mathbf", "mathbb", "mathcal", "mathit", "mathsf",
    "operatorname", "boxed", "fbox", "displaystyle", "textstyle", "underline", "emph", "texttt",
    "mbox", "rm", "bf", "phantom",
}  # fmt: skip
_ACCENTS = {"vec": "vector", "hat": "hat", "bar": "bar", "overline": "bar", "tilde": "tilde",
            "dot": "dot", "ddot": "double dot"}  # fmt: skip
_SPACING = {
    "left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "quad", "qquad",
    "limits", "nolimits", "hspace", "vspace", "label", "tag", "nonumber", "notag", "displaystyle",
    "middle",
}  # fmt: skip
_READ = (
    _WORDS.keys() | _FRACTIONS | _PLAIN | _ACCENTS.keys() | _SPACING
    | {"sqrt", "binom", "begin", "end", "not"}
)  # fmt: skip
_SIGNS = {
    "+": "plus", "-": "minus", "*": "times", "/": "over", "=": "equals", "<": "is less than",
    ">": "is greater than", "!": "factorial", "'": "prime", ":": "to", "%": "percent", ",": ",",
    "&": "", "~": "", "\\\\": ",", "\\%": "percent", "\\$": "dollars", "\\#": "number",
    "\\&": "and", "\\_": "", "\\|": "norm", "@": "at", "°": "degrees",
}  # fmt: skip
_POWERS = {"two": "squared", "three": "cubed", "composed with": "degrees", "T": "transpose",
           "prime": "prime", "times": "star", "dagger": "dagger"}  # fmt: skip


def without_latex(text: str) -> str:
    """The text with formulas and commands of LaTeX in words."""
    if "\\" not in text and "$" not in text:
        return text
    text = _DEGREES.sub("°", text)
    text = _FORMULA.sub(_formula, text)
    if "\\" not in text:
        return text
    parts, end = [], 0
    paths = [path.span() for path in _WINDOWS.finditer(text)]
    for command in _COMMAND.finditer(text):
        start = command.start()
        if start > 1 and text[start - 2 : start].isalpha():
            continue  # a path such as folder\\bar
        if start < end or command[0][1:] not in _READ or _within(start, paths):
            continue
        reader = _Reader(_TOKEN.finditer(text, start))
        words = reader.item()
        parts += [text[end:start], f" {words} "]
        end = reader.end
    return "".join([*parts, text[end:]])


def _within(position: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= position < end for start, end in spans)


def _formula(match: re.Match[str]) -> str:
    body = match[match.lastgroup or 0]
    if match.lastgroup == "inline" and not _MATHEMATICAL.search(body):
        return match[0]
    return f" {_Reader(_TOKEN.finditer(body)).words()} "


class _Reader:
    """Reads the tokens of a formula.

    Attributes:
        end: where the last token that was read ends.
    """

    def __init__(self, tokens: Iterator[re.Match[str]]) -> None:
        self._tokens = tokens
        self._next = next(tokens, None)
        self._depth = 0
        self.end = 0

    def words(self) -> str:
        """All that is left, or the group up to its closing brace."""
        return " ".join(filter(None, self._items(None)))

    def item(self) -> str:
        """The next token with its arguments, powers and indices."""
        token = self._take()
        words = self._command(token[1:].rstrip("*")) if _COMMAND.match(token) else self._sign(token)
        return f"{words}{self._scripts()}"

    def _peek(self) -> str:
        return self._next[0] if self._next else ""

    def _take(self) -> str:
        token = self._next
        if token is None:
            return ""
        self.end = token.end()
        self._next = next(self._tokens, None)
        return token[0]

    def _items(self, closing: str | None) -> list[str]:
        found: list[str] = []
        while self._next is not None and self._peek() != closing:
            before, token = (found[-1] if found else ""), self._peek()
            if token == "(":
                found += self._joined(before)
                self._take()
            elif token == "|":
                self._take()
                bars = self._items("|") if closing != "|" else []
                self._take()
                found += ["the absolute value of", *bars]
            else:
                found.append(self.item())
        return found

    @staticmethod
    def _joined(before: str) -> list[str]:
        """What is said for a parenthesis: f of x, 2 times x."""
        if len(before) == 1 or before.endswith(" prime"):
            return ["of"]
        return ["times"] if before and before.split()[-1] in _NUMBER_WORDS else []

    def _group(self) -> str:
        """The words of an argument: a token, or what is in braces."""
        if self._peek() != "{":
            return self._sign(self._take()) if not _COMMAND.match(self._peek()) else self.item()
        self._take()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._depth -= 1
            return ""
        words = " ".join(filter(None, self._items("}")))
        self._depth -= 1
        self._take()
        return words

    def _scripts(self) -> str:
        words = ""
        while self._peek() in ("^", "_"):
            if self._take() == "_":
                words += f" sub {self._group()}"
                continue
            power = self._group()
            words += f" {_POWERS.get(power) or f'to the power of {power}'}"
        return words

    def _limits(self, name: str) -> str:
        """A sum, integral or limit and its bounds."""
        lower = upper = ""
        while self._peek() in ("^", "_"):
            if self._take() == "_":
                lower = self._group()
            else:
                upper = self._group()
        words = f"the {_WORDS[name]}"
        if lower:
            words += f" {'as' if name in ('lim', 'max', 'min') else 'from'} {lower}"
        if upper:
            words += f" to {upper}"
        return f"{words} of"

    def _command(self, name: str) -> str:
        if name in _FRACTIONS:
            return _over(self._group(), self._group())
        if name == "sqrt":
            return self._root()
        if name == "binom":
            return f"{self._group()} choose {self._group()}"
        if name in ("begin", "end"):
            self._group()
            return ""
        if name == "not":
            return "not"
        if name in _ACCENTS:
            accented = self._group()
            return f"vector {accented}" if name == "vec" else f"{accented} {_ACCENTS[name]}"
        if name in _PLAIN:
            return self._text() if self._peek() == "{" else ""
        if name in _SPACING:
            return ""
        if name in _BIG and self._peek() in ("^", "_"):
            return self._limits(name)
        return _WORDS.get(name, name)

    def _text(self) -> str:
        """The argument of a command for text: letters that touch are a word."""
        self._take()
        text, end = "", None
        depth = 0
        while self._next is not None and (depth or self._peek() != "}"):
            token = self._next
            depth += {"{": 1, "}": -1}.get(token[0], 0)
            if _COMMAND.match(token[0]) or token[0] in "^_":
                text += f" {self.item() if token[0] not in '^_' else self._scripts()} "
                end = None
                continue
            gap = " " if end is not None and token.start() > end else ""
            text += gap + (token[0] if token[0] not in "{}" else "")
            end = token.end()
            self._take()
        self._take()
        return text if len(text.strip()) != 1 else text.strip().upper()

    def _root(self) -> str:
        degree = ""
        if self._peek() == "[":
            self._take()
            degree = " ".join(filter(None, self._items("]")))
            self._take()
        radicand = self._group()
        named = {"": "square", "three": "cube"}.get(degree) or f"{degree} th"
        return f"the {named} root of {radicand}"

    @staticmethod
    def _sign(token: str) -> str:
        if not token:
            return ""
        if token[0].isdigit():
            return cardinal(token)
        if token.isalpha():
            return token.upper()
        if token in _SIGNS:
            return _SIGNS[token]
        if token in "{}[]()|^_" or token.startswith("\\"):
            return ""
        return token


_NUMBER_WORDS = frozenset(
    [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "hundred",
    ]
)
_NUMERALS = {cardinal(str(number)): number for number in range(101)}


def _over(above: str, below: str) -> str:
    first, second = _NUMERALS.get(above), _NUMERALS.get(below)
    if first and second and second > 1 and first < second:
        return fraction(first, second)
    return f"{above} over {below}"
