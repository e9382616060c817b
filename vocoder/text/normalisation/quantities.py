"""Reads amounts of money and quantities with a unit."""

import re

from vocoder.text.normalisation.numbers import NUMBER, SCALES, cardinal, counted_noun
from vocoder.text.normalisation.rules import Rule, final_stop, rule

_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "US$": ("U S dollar", "U S dollars", "cent", "cents"),
    "USD": ("U S dollar", "U S dollars", "cent", "cents"),
    "C$": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "CA$": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "CAD": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "A$": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "AU$": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "AUD": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "HK$": ("Hong Kong dollar", "Hong Kong dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "GBP": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
    "JPY": ("yen", "yen", "", ""),
    "CNY": ("yuan", "yuan", "", ""),
    "RMB": ("yuan", "yuan", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "INR": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "", ""),
    "₽": ("ruble", "rubles", "", ""),
    "₿": ("bitcoin", "bitcoins", "", ""),
    "CHF": ("Swiss franc", "Swiss francs", "", ""),
}

_PREFIXES = {"k": "kilo", "M": "mega", "G": "giga", "T": "tera", "m": "milli", "μ": "micro"}
_WITH_PREFIX = {
    "Hz": "hertz", "V": "volt", "A": "amp", "Ah": "amp hour", "W": "watt", "Wh": "watt hour",
    "J": "joule", "Pa": "pascal", "Ω": "ohm",
}  # fmt: skip
_UNITS = {
    "kg": "kilogram", "mg": "milligram", "μg": "microgram", "mcg": "microgram", "g": "gram",
    "lb": "pound", "lbs": "pound", "oz": "ounce", "km": "kilometer", "cm": "centimeter",
    "mm": "millimeter", "μm": "micrometer", "nm": "nanometer", "m": "meter", "mi": "mile",
    "mi.": "mile", "ft": "foot", "ft.": "foot", "in.": "inch", "in": "inch", "yd": "yard",
    "yds": "yard",
    "km/h": "kilometer per hour", "kph": "kilometer per hour", "kmh": "kilometer per hour",
    "mph": "mile per hour", "MPH": "mile per hour", "mpg": "mile per gallon", "kn": "knot",
    "m/s": "meter per second", "ft/s": "foot per second", "m/s^2": "meter per second squared",
    "L": "liter", "l": "liter", "ml": "milliliter", "mL": "milliliter", "cl": "centiliter",
    "dl": "deciliter", "gal": "gallon", "qt": "quart", "tsp": "teaspoon", "tbsp": "tablespoon",
    "fl oz": "fluid ounce", "cc": "C C", "ha": "hectare",
    "sq ft": "square foot", "sq. ft.": "square foot", "sq. ft": "square foot",
    "sq mi": "square mile", "sq m": "square meter", "sq km": "square kilometer",
    "m^2": "square meter", "km^2": "square kilometer", "cm^2": "square centimeter",
    "ft^2": "square foot", "m^3": "cubic meter", "cm^3": "cubic centimeter",
    "°C": "degree Celsius", "°F": "degree Fahrenheit", "°": "degree", "K": "kelvin",
    "KB": "kilobyte", "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte",
    "TB": "terabyte", "PB": "petabyte", "MiB": "mebibyte", "GiB": "gibibyte", "KiB": "kibibyte",
    "kbps": "kilobit per second", "Kbps": "kilobit per second", "Mbps": "megabit per second",
    "Gbps": "gigabit per second", "MB/s": "megabyte per second", "GB/s": "gigabyte per second",
    "Hz": "hertz", "V": "volt", "Ah": "amp hour", "W": "watt", "Wh": "watt hour",
    "Pa": "pascal", "hPa": "hectopascal", "psi": "P S I",
    "dB": "decibel", "cal": "calorie", "kcal": "kilocalorie", "Ω": "ohm", "px": "pixel",
    "dpi": "D P I", "hp": "horsepower",
    "fps": "frame per second", "rpm": "R P M", "RPM": "R P M", "bpm": "beat per minute",
    "ppm": "part per million", "ppb": "part per billion", "s": "second", "sec": "second",
    "secs": "second", "min": "minute", "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour",
    "hr.": "hour", "hrs.": "hour", "min.": "minute", "ms": "millisecond", "ns": "nanosecond",
    "μs": "microsecond", "yr": "year", "yrs": "year", "wk": "week", "mo": "month",
}  # fmt: skip
_UNITS |= {
    prefix + unit: name + stem
    for prefix, name in _PREFIXES.items()
    for unit, stem in _WITH_PREFIX.items()
} | {"kΩ": "kilohm", "MΩ": "megohm"}
_ATTACHED_ONLY = {"in", "in.", "s", "h", "mo", "ha"}
"""Units that after a space would be words."""
_UNIT = "|".join(
    re.escape(unit) for unit in sorted(_UNITS.keys() - {"K"}, key=len, reverse=True)
)  # 4K is a resolution, not a temperature
_SPACED = "|".join(
    re.escape(unit) for unit in sorted(_UNITS.keys() - _ATTACHED_ONLY, key=len, reverse=True)
)
_PLURALS = {"foot": "feet", "inch": "inches"}
_UNCOUNTED = {"hertz", "kelvin", "horsepower", "C C", "P S I", "D P I", "R P M"}
_PER = {
    "h": "hour", "hr": "hour", "s": "second", "sec": "second", "min": "minute", "d": "day",
    "day": "day", "wk": "week", "week": "week", "mo": "month", "month": "month", "yr": "year",
    "year": "year", "hour": "hour", "minute": "minute", "second": "second", "kg": "kilogram",
    "lb": "pound", "km": "kilometer", "m": "meter", "L": "liter", "l": "liter", "person": "person",
    "gal": "gallon", "mL": "milliliter", "ml": "milliliter", "dL": "deciliter", "night": "night",
    "m^2": "square meter", "m^3": "cubic meter", "sq ft": "square foot", "cm^3": "cubic centimeter",
}  # fmt: skip
_PER_UNIT = "|".join(re.escape(unit) for unit in sorted(_PER, key=len, reverse=True))
_SCALE = r"(?: (?:hundred|thousand|million|billion|trillion)\b)?"
_START = r"(?<![\w.])"
_COMPASS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_SYMBOL = r"(?:US|CA?|AU?|HK)?\$|[£€¥₹₩₽₿]"
_CODE = "|".join(name for name in _CURRENCIES if name.isalpha())


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
        parts.append(f"{cardinal(cents)} {small if cents == '1' else smalls}")
    return " and ".join(parts)


def quantity(amount: str, unit: str, *, one: bool = False) -> str:
    """``5`` and ``kg`` as 'five kilograms'; the unit is singular for 1, or if ``one`` is set."""
    number, space, scale = amount.partition(" ")
    return f"{cardinal(number)}{space}{scale} {_name(unit, one=one or amount == '1')}"


def _name(unit: str, *, one: bool) -> str:
    name = _UNITS[unit]
    counted, per, rest = name.partition(" per ")
    if one or counted in _UNCOUNTED or counted.endswith("hertz"):
        return name
    first, space, scale = counted.partition(" ")
    if first == "degree":
        return f"degrees{space}{scale}"
    kind, space, noun = counted.rpartition(" ")
    return f"{kind}{space}{_PLURALS.get(noun, noun + 's')}{per}{rest}"


def _money(match: re.Match[str]) -> str:
    groups = match.groupdict("")
    article = groups.get("article", "")
    one = bool(article) and bool(_NOUN.match(match.string, match.end()))
    words = money(match["amount"], match["currency"], _scale(match), one=one)
    per = f" per {_PER[groups['per']]}" if groups.get("per") else ""
    return article + ("minus " if groups.get("minus") else "") + words + per


def _money_range(match: re.Match[str]) -> str:
    return f"{cardinal(match['amount'])} to {money(match['end'], match['currency'], _scale(match))}"


def _scale(match: re.Match[str]) -> str:
    written = (match["scale"] or "").strip()
    return SCALES.get(written, written)


def _quantity(match: re.Match[str]) -> str:
    unit = match["unit"] or match["spaced"]
    article = match["article"] or ""
    one = bool(article) and bool(_NOUN.match(match.string, match.end()))
    minus = "minus " if match["minus"] else ""
    per = f" per {_PER[match['per']]}" if match["per"] else ""
    return article + minus + quantity(match["amount"], unit, one=one) + per + final_stop(match)


def _adjective(match: re.Match[str]) -> str:
    return quantity(match["amount"], match["unit"], one=True)


def _height(match: re.Match[str]) -> str:
    feet = "foot" if match["inches"] or match["feet"] == "1" else "feet"
    inches = f" {cardinal(match['inches'])}" if match["inches"] else ""
    return f"{cardinal(match['feet'])} {feet}{inches}"


def _inches(match: re.Match[str]) -> str | None:
    if match.string.count('"', 0, match.start()) % 2:
        return None  # a closing quotation mark
    return f"{cardinal(match[1])} {'inch' if match[1] == '1' else 'inches'}"


def _position(match: re.Match[str]) -> str:
    names = ("degrees", "minutes", "seconds")
    parts = [counted_noun(match[name], name[:-1]) for name in names if match[name]]
    return f"{' '.join(parts)} {_COMPASS[match['toward']]}"


_NOUN = re.compile(r"[- ][a-z]")
_SCALED = (
    r"(?P<scale>(?:bn|mn|tn|[kKmMbBT])(?!\w)| ?(?:hundred|thousand|million|billion|trillion)\b)?"
)

MONEY_RULES: list[Rule] = [
    rule(rf"(?P<currency>{_SYMBOL})(?P<amount>{NUMBER}) ?[-–] ?(?:(?P=currency))?"
         rf"(?P<end>{NUMBER}){_SCALED}(?!\w)", _money_range),
    rule(rf"(?P<article>\b[Aa]n? )?(?P<minus>(?<!\w)-)?(?P<currency>{_SYMBOL}) ?"
         rf"(?P<amount>{NUMBER}){_SCALED}(?:/(?P<per>{_PER_UNIT})(?!\w))?", _money),
    rule(rf"\b(?P<currency>{_CODE}) ?(?P<amount>{NUMBER}){_SCALED}", _money),
    rule(rf"{_START}(?P<amount>{NUMBER}){_SCALED} ?(?P<currency>{_CODE}|[€£₽₹])(?!\w)", _money),
    rule(rf"{_START}({NUMBER}) ?¢", lambda match: counted_noun(match[1], "cent")),
]  # fmt: skip
"""Applied before unit rules, so that the ``m`` in ``£5m`` is read as a million."""

UNIT_RULES: list[Rule] = [
    rule(r"""(?<![\w.])(?P<degrees>\d{1,3}(?:\.\d{1,8})?) ?° ?(?:(?P<minutes>\d{1,2}) ?' ?)?"""
         r"""(?:(?P<seconds>\d{1,2}(?:\.\d{1,4})?) ?(?:"|'') ?)?(?P<toward>[NSEW])\b""", _position),
    rule(r"""(?<![\w.])(?P<feet>\d{1,2})'(?: ?(?P<inches>\d{1,2})(?:"|''))""", _height),
    rule(r"""(?<![\w.'])(?P<feet>\d{1,4})'(?P<inches>)(?=[\s,.;)]|$)""", _height),
    rule(rf'{_START}({NUMBER})"', _inches),
    rule(rf"{_START}({NUMBER}) ?%", lambda match: f"{cardinal(match[1])} percent"),
    rule(rf"{_START}(?P<amount>{NUMBER})-(?P<unit>{_SPACED})(?![\w'])", _adjective),
    rule(rf"(?P<article>\b[Aa]n? )?{_START}(?P<minus>(?<![\w)])-)?(?P<amount>{NUMBER}{_SCALE})"
         rf"(?:(?P<unit>{_UNIT})| (?P<spaced>{_SPACED}))(?:/(?P<per>{_PER_UNIT}))?(?![\w'])"
         r"(?:\.(?=[,;]| [a-z]))?", _quantity),
]  # fmt: skip
