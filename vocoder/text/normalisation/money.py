"""Reads amounts of money."""

import re

from vocoder.text.normalisation.numbers import NUMBER, cardinal
from vocoder.text.normalisation.rules import Rule, any_of, rule, spaced

_CENTS = ("cent", "cents")
_NONE = ("", "")
_CURRENCIES: dict[str, tuple[str, str, str, str]] = {
    "$": ("dollar", "dollars", *_CENTS),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", *_CENTS),
    "¥": ("yen", "yen", *_NONE),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", *_NONE),
    "₽": ("ruble", "rubles", *_NONE),
    "₿": ("bitcoin", "bitcoins", *_NONE),
    "₺": ("lira", "lira", *_NONE),
    "₪": ("shekel", "shekels", *_NONE),
    "฿": ("baht", "baht", *_NONE),
    "₫": ("dong", "dong", *_NONE),
    "₱": ("peso", "pesos", *_NONE),
    "₦": ("naira", "naira", *_NONE),
    "₴": ("hryvnia", "hryvnias", *_NONE),
    "₵": ("cedi", "cedis", *_NONE),
    "₡": ("colon", "colones", *_NONE),
    "₲": ("guarani", "guaranis", *_NONE),
    "₸": ("tenge", "tenge", *_NONE),
    "₮": ("tugrik", "tugriks", *_NONE),
    "₭": ("kip", "kip", *_NONE),
    "₾": ("lari", "lari", *_NONE),
    "₼": ("manat", "manat", *_NONE),
    "R$": ("real", "reais", *_NONE),
    "Rs": ("rupee", "rupees", "paisa", "paise"),
    "RM": ("ringgit", "ringgit", *_NONE),
    "CHF": ("Swiss franc", "Swiss francs", *_NONE),
    "CNY": ("yuan", "yuan", *_NONE),
    "RMB": ("yuan", "yuan", *_NONE),
    "SEK": ("Swedish krona", "Swedish kronor", *_NONE),
    "NOK": ("Norwegian krone", "Norwegian kroner", *_NONE),
    "DKK": ("Danish krone", "Danish kroner", *_NONE),
    "PLN": ("zloty", "zlotys", *_NONE),
    "ZAR": ("rand", "rand", *_NONE),
    "BTC": ("bitcoin", "bitcoins", *_NONE),
    "ETH": ("ether", "ether", *_NONE),
}
_SAME = {"GBP": "£", "EUR": "€", "JPY": "¥", "INR": "₹", "KRW": "₩", "RUB": "₽", "TRY": "₺",
         "ILS": "₪", "THB": "฿", "BRL": "R$", "Rs.": "Rs"}  # fmt: skip
_DOLLARS = {
    "US": "U S", "USD": "U S", "C": "Canadian", "CA": "Canadian", "CAD": "Canadian",
    "A": "Australian", "AU": "Australian", "AUD": "Australian", "HK": "Hong Kong",
    "HKD": "Hong Kong", "S": "Singapore", "SG": "Singapore", "SGD": "Singapore",
    "NZ": "New Zealand", "NZD": "New Zealand", "NT": "Taiwan", "J": "Jamaican",
}  # fmt: skip
_CURRENCIES |= {code: _CURRENCIES[sign] for code, sign in _SAME.items()} | {
    code if len(code) == 3 else f"{code}$": (f"{name} dollar", f"{name} dollars", *_CENTS)
    for code, name in _DOLLARS.items()
} | dict.fromkeys(("Mex$", "MX$", "MXN"), ("Mexican peso", "Mexican pesos", *_CENTS))  # fmt: skip

_SCALES = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million",
    "mm": "million", "MM": "million", "mil": "million", "mil.": "million", "b": "billion",
    "B": "billion", "bn": "billion", "Bn": "billion", "tn": "trillion", "T": "trillion",
    "t": "trillion", "cr": "crore",
}  # fmt: skip
_PER = {
    "h": "hour", "hr": "hour", "hour": "hour", "min": "minute", "minute": "minute", "d": "day",
    "day": "day", "wk": "week", "week": "week", "mo": "month", "month": "month", "yr": "year",
    "year": "year", "kg": "kilogram", "lb": "pound", "oz": "ounce", "km": "kilometer",
    "mi": "mile", "mile": "mile", "m": "meter", "L": "liter", "l": "liter", "gal": "gallon",
    "person": "person", "night": "night", "unit": "unit", "share": "share", "ticket": "ticket",
    "seat": "seat", "user": "user", "ton": "ton", "kWh": "kilowatt hour", "sq ft": "square foot",
    "bbl": "barrel", "barrel": "barrel", "each": "each", "ea": "each",
}  # fmt: skip
_WORD_SCALE = "hundred|thousand|million|billion|trillion|lakhs?|crores?"
_NAMED_AGAIN = r"(?: (?:dollars|pounds|euros)(?!\w))?"
_NOUN = re.compile(
    r"[- ](?!in\b|of\b|and\b|or\b|to\b|for\b|from\b|per\b|a\b|an\b|each\b|on\b)[a-z]"
)
_ARTICLE = r"(?P<article>\b(?:[Aa]n?|[Tt]he) )?"
_SIGN = any_of(name for name in _CURRENCIES if not name[-1].isalpha() and name != "Rs.")
_SYMBOL = rf"(?:(?<![A-Za-z])(?:{_SIGN}|Rs\.? |Rs\.?|RM)|[$£€])"
_CODE = any_of(name for name in _CURRENCIES if name.isalpha() and name not in ("Rs", "RM"))
_SCALED = (
    rf"(?P<scale>(?:bn|Bn|mn|mm|MM|tn|[kKmMbBTt])(?![A-Za-z0-9'])|[ -](?:{_WORD_SCALE})\b"
    r"|[ ](?:bn|mn|tn|mil|cr)\b\.?(?! ?[A-Z0-9])|[ ][MBK]\b)?"
)
_AMOUNT = rf"(?:{NUMBER}|\.\d{{1,4}})"
_PER_UNIT = rf"(?: ?/ ?(?P<per>{any_of(_PER)})(?![A-Za-z]))?"


def money(amount: str, currency: str, scale: str = "", *, one: bool = False) -> str:
    """``3.50`` dollars as 'three dollars and fifty cents'.

    Args:
        amount: digits, with or without separators and decimals.
        currency: a currency symbol or code.
        scale: a word such as 'million'.
        one: whether to name the currency in the singular, as in 'a five dollar bill'.
    """
    single, plural, small, smalls = _CURRENCIES[currency]
    if scale:
        return f"{cardinal(amount)} {scale} {single if one else plural}"
    whole, _, decimals = amount.partition(".")
    if len(decimals) != 2 or not small:
        return f"{cardinal(amount)} {single if amount == '1' or one else plural}"
    parts = []
    if whole.strip("0,") or decimals == "00":
        parts.append(f"{cardinal(whole)} {single if whole == '1' or one else plural}")
    if decimals != "00":
        cents = decimals.lstrip("0")
        parts.append(f"{cardinal(cents)} {small if cents == '1' or one else smalls}")
    return " and ".join(parts)


def _scale(written: str | None) -> str:
    written = (written or "").strip(" -")
    return _SCALES.get(written, written)


def _adjective(match: re.Match[str], article: str) -> bool:
    """Whether the amount describes the noun after it, as in 'a five dollar bill'."""
    noun = _NOUN.match(match.string, match.end())
    hyphen = noun is not None and noun[0][0] == "-"
    return hyphen or (noun is not None and bool(article) and not match[0].endswith("."))


def _money(match: re.Match[str]) -> str:
    groups = match.groupdict("")
    article = groups.get("article", "")
    currency = match["currency"].strip()
    words = money(match["amount"], currency, _scale(match["scale"]), one=_adjective(match, article))
    minus = "minus " if groups.get("minus") or groups.get("inner") else ""
    plus = " plus" if groups.get("plus") else ""
    return article + spaced(match, f"{minus}{words}{plus}{_per(groups.get('per', ''))}")


def _per(unit: str) -> str:
    if not unit:
        return ""
    return " each" if _PER[unit] == "each" else f" per {_PER[unit]}"


def _range(match: re.Match[str]) -> str:
    currency, scale = match["currency"].strip(), _scale(match["scale"])
    first, last = match["amount"], match["end"]
    one = _adjective(match, match["article"] or "")
    second = money(last, currency, scale, one=one) + _per(match["per"] or "")
    if "." in first and not scale:
        words = f"{money(first, currency, one=one)} to {second}"
    else:
        first_scale = _scale(match["first_scale"])
        words = f"{cardinal(first)} {first_scale + ' ' if first_scale else ''}to {second}"
    return (match["article"] or "") + spaced(match, words)


def _small(match: re.Match[str]) -> str:
    one = match["amount"] == "1" or _adjective(match, match["article"] or "")
    name = {"¢": ("cent", "cents"), "p": ("pence", "pence")}[match["small"]]
    return (match["article"] or "") + spaced(match, f"{cardinal(match['amount'])} {name[not one]}")


def _ticker(match: re.Match[str]) -> str:
    return " ".join(match[1])


RULES: tuple[Rule, ...] = (
    rule(r"(?<![\w$])\$([A-Z]{1,5})(?![\w$])", _ticker),
    rule(rf"{_ARTICLE}(?P<currency>{_SYMBOL}) ?(?P<amount>{_AMOUNT})"
         r"(?P<first_scale>[kKmMbB]|bn)? ?[-–—] ?"
         rf"(?:(?P=currency))?(?P<end>{_AMOUNT}){_SCALED}{_PER_UNIT}(?![\d])", _range),
    rule(rf"{_ARTICLE}(?P<minus>(?<!\w)-)?(?P<currency>{_SYMBOL})(?P<inner>-)? ?"
         rf"(?P<amount>{_AMOUNT}){_SCALED}(?P<plus>\+)?{_NAMED_AGAIN}{_PER_UNIT}", _money),
    rule(rf"\b(?P<currency>{_CODE}) ?(?P<amount>{_AMOUNT}){_SCALED}", _money),
    rule(rf"(?<![\w.])(?P<amount>{_AMOUNT}){_SCALED} ?"
         rf"(?P<currency>(?:{_CODE})(?!\w)|[$€£₽₹₺₪฿₫₴¥₩](?![\w$]))(?![\d.]\d){_PER_UNIT}", _money),
    rule(rf"{_ARTICLE}(?<![\w.])(?P<amount>{NUMBER}) ?(?P<small>¢)", _small),
    rule(r"(?P<article>\b[Aa]n? )?(?<![\w.,:/£$-])(?P<amount>\d{1,2})(?P<small>p)"
         r"(?=(?: (?:a|an|per|each|and|for|off|more|less|coin|piece|to|stamp|bag|in)\b)|"
         r"[.,;!?)]|$)",
         _small),
)  # fmt: skip
"""Applied before unit rules, so that the ``m`` in ``£5m`` is read as a million."""
