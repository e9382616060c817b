"""Names of units of measurement."""

from vocoder.text.normalisation.rules import any_of

_PREFIXES = {
    "k": "kilo", "M": "mega", "G": "giga", "T": "tera", "m": "milli", "μ": "micro", "u": "micro",
    "n": "nano", "h": "hecto", "p": "pico",
}  # fmt: skip
_WITH_PREFIX = {
    "Hz": "hertz", "V": "volt", "A": "amp", "Ah": "amp hour", "W": "watt", "Wh": "watt hour",
    "J": "joule", "Pa": "pascal", "Ω": "ohm", "F": "farad", "N": "newton", "L": "liter",
    "mol": "mole", "eV": "electron volt", "Sv": "sievert",
}  # fmt: skip
_BYTES = {"K": "kilo", "k": "kilo", "M": "mega", "G": "giga", "T": "tera", "P": "peta"}
UNITS = {
    prefix + unit: name + stem
    for prefix, name in _PREFIXES.items()
    for unit, stem in _WITH_PREFIX.items()
    if len(prefix + unit) > 1
} | {
    f"{prefix}{unit}": f"{name}{stem}"
    for prefix, name in _BYTES.items()
    for unit, stem in {
        "B": "byte", "b": "bit", "bps": "bit per second", "bit": "bit", "bit/s": "bit per second",
        "b/s": "bit per second", "B/s": "byte per second", "bits": "bit", "Bps": "byte per second",
        "bytes": "byte",
    }.items()
}  # fmt: skip
UNITS |= {
    "MiB": "mebibyte", "GiB": "gibibyte", "KiB": "kibibyte", "TiB": "tebibyte",
    "kΩ": "kilohm", "MΩ": "megohm", "hm": "hectometer",
    # Mass
    "kg": "kilogram", "kgs": "kilogram", "mg": "milligram", "μg": "microgram", "mcg": "microgram",
    "ug": "microgram", "g": "gram", "gm": "gram", "gms": "gram", "ng": "nanogram", "lb": "pound",
    "lbs": "pound", "lb.": "pound", "lbs.": "pound", "oz": "ounce", "oz.": "ounce",
    "t": "ton", "kt": "kiloton", "Mt": "megaton", "ct": "carat",
    # Length and area
    "km": "kilometer", "kms": "kilometer", "cm": "centimeter", "cms": "centimeter",
    "mm": "millimeter", "μm": "micrometer", "um": "micrometer", "nm": "nanometer", "m": "meter",
    "mi": "mile", "mi.": "mile", "ft": "foot", "ft.": "foot", "in": "inch", "in.": "inch",
    "yd": "yard", "yd.": "yard", "yds": "yard", "yds.": "yard", "ly": "light year",
    "ha": "hectare", "sq ft": "square foot", "sq. ft.": "square foot",
    "sq. ft": "square foot", "sq. mi.": "square mile", "sq. m": "square meter",
    "sq. km": "square kilometer", "sqft": "square foot", "sq mi": "square mile",
    "sq m": "square meter", "sq km": "square kilometer", "sq in": "square inch",
    "sq yd": "square yard", "m2": "square meter", "km2": "square kilometer",
    "cm2": "square centimeter",
    "m3": "cubic meter", "cm3": "cubic centimeter", "ft2": "square foot", "mi2": "square mile",
    "m^2": "square meter", "km^2": "square kilometer",
    "cm^2": "square centimeter", "mm^2": "square millimeter", "ft^2": "square foot",
    "in^2": "square inch", "mi^2": "square mile", "m^3": "cubic meter", "cm^3": "cubic centimeter",
    "mm^3": "cubic millimeter", "ft^3": "cubic foot", "km^3": "cubic kilometer",
    "in^3": "cubic inch", "cu ft": "cubic foot", "cu. ft.": "cubic foot", "cu m": "cubic meter",
    "cu in": "cubic inch", "cu yd": "cubic yard", "acre-ft": "acre foot",
    # Speed
    "km/h": "kilometer per hour", "kph": "kilometer per hour", "kmh": "kilometer per hour",
    "kmph": "kilometer per hour", "mph": "mile per hour", "MPH": "mile per hour",
    "mpg": "mile per gallon", "kn": "knot", "kts": "knot", "m/s": "meter per second",
    "ft/s": "foot per second", "fps": "frame per second", "m/s^2": "meter per second squared",
    # Volume
    "L": "liter", "l": "liter", "ml": "milliliter", "mL": "milliliter", "cl": "centiliter",
    "cL": "centiliter", "dl": "deciliter", "dL": "deciliter", "μl": "microliter",
    "gal": "gallon", "gal.": "gallon", "gals": "gallon", "qt": "quart", "qt.": "quart",
    "qts": "quart", "pt": "pint", "pt.": "pint", "tsp": "teaspoon", "tsp.": "teaspoon",
    "tsps": "teaspoon", "tbsp": "tablespoon", "tbsp.": "tablespoon", "Tbsp": "tablespoon",
    "Tbsp.": "tablespoon", "tbs": "tablespoon", "tbs.": "tablespoon", "tbsps": "tablespoon",
    "fl oz": "fluid ounce", "fl. oz.": "fluid ounce", "cc": "C C", "bbl": "barrel",
    "c.": "cup", "pkg": "package", "pkg.": "package",
    # Temperature and angles
    "°C": "degree Celsius", "°F": "degree Fahrenheit", "°K": "degree Kelvin",
    "° C": "degree Celsius",
    "° F": "degree Fahrenheit", "°": "degree", "º": "degree", "ºC": "degree Celsius",
    "ºF": "degree Fahrenheit", "K": "kelvin", "rad": "radian",
    # Physics, chemistry, medicine
    "Hz": "hertz", "V": "volt", "Ah": "amp hour", "W": "watt", "Wh": "watt hour", "Pa": "pascal",
    "psi": "P S I", "PSI": "P S I",
    "dB": "decibel", "dBA": "decibel", "cal": "calorie", "cals": "calorie", "kcal": "kilocalorie",
    "kCal": "kilocalorie", "Ω": "ohm", "hp": "horsepower", "bhp": "brake horsepower",
    "BTU": "B T U", "Nm": "newton meter", "atm": "atmosphere", "bar": "bar", "mbar": "millibar",
    "mol": "mole", "mmHg": "millimeter of mercury", "inHg": "inch of mercury",
    "IU": "international unit", "lm": "lumen", "lx": "lux", "cd": "candela",
    "mEq": "milliequivalent", "Gy": "gray", "Bq": "becquerel", "Da": "dalton", "kDa": "kilodalton",
    # Screens, rates, counts
    "px": "pixel", "dpi": "D P I", "ppi": "P P I", "MP": "megapixel", "rpm": "R P M",
    "RPM": "R P M", "bpm": "beat per minute", "BPM": "beat per minute", "ppm": "part per million",
    "ppb": "part per billion", "pts": "point", "pts.": "point", "doz": "dozen", "doz.": "dozen",
    "pcs": "piece", "pcs.": "piece", "pc": "piece", "pp": "percentage point",
    # Time
    "s": "second", "sec": "second", "sec.": "second", "secs": "second", "secs.": "second",
    "min": "minute", "min.": "minute", "mins": "minute", "mins.": "minute", "h": "hour",
    "hr": "hour", "hr.": "hour", "hrs": "hour", "hrs.": "hour", "ms": "millisecond",
    "msec": "millisecond", "ns": "nanosecond", "μs": "microsecond", "us": "microsecond",
    "ps": "picosecond", "wk": "week", "wk.": "week", "wks": "week", "wks.": "week",
    "mo": "month", "mo.": "month", "mos": "month", "mos.": "month", "yr": "year", "yr.": "year",
    "yrs": "year", "yrs.": "year",
}  # fmt: skip
_ATTACHED_ONLY = {
    "in", "in.", "t", "pp", "us", "ps", "rad", "pc", "kb", "Mt", "um", "K",
}  # fmt: skip
"""Units that after a space would be words, or a letter."""

_SPACED_ONLY = {"K", "c.", "bar", "ps", "cal", "pp"}
"""Units that directly after a number would be parts of a name, as in 4K."""

ATTACHED = any_of(UNITS.keys() - _SPACED_ONLY)
SPACED = any_of(UNITS.keys() - _ATTACHED_ONLY)

PER = {
    "h": "hour", "hr": "hour", "s": "second", "sec": "second", "min": "minute", "d": "day",
    "day": "day", "wk": "week", "week": "week", "mo": "month", "month": "month", "yr": "year",
    "year": "year", "hour": "hour", "minute": "minute", "second": "second", "kg": "kilogram",
    "lb": "pound", "km": "kilometer", "m": "meter", "L": "liter", "l": "liter", "person": "person",
    "gal": "gallon", "mL": "milliliter", "ml": "milliliter", "dL": "deciliter", "dl": "deciliter",
    "night": "night", "m^2": "square meter", "m^3": "cubic meter", "km^2": "square kilometer",
    "mi^2": "square mile", "sq ft": "square foot",
    "cm^3": "cubic centimeter", "cm^2": "square centimeter", "in^2": "square inch",
    "ft^2": "square foot", "ft": "foot", "mm": "millimeter", "cm": "centimeter", "mi": "mile",
    "mile": "mile", "g": "gram", "oz": "ounce", "mol": "mole", "K": "kelvin", "V": "volt",
    "s^2": "second squared", "in": "inch", "unit": "unit", "serving": "serving", "user": "user",
    "A": "amp", "W": "watt", "100g": "hundred grams", "100 g": "hundred grams", "ha": "hectare",
    "acre": "acre", "kWh": "kilowatt hour", "dose": "dose", "ton": "ton", "cup": "cup",
}  # fmt: skip
"""Units after a slash."""

PER_UNIT = any_of(PER)

_PLURALS = {"foot": "feet", "inch": "inches", "dozen": "dozen", "lux": "lux"}
_UNCOUNTED = {
    "hertz", "kelvin", "horsepower", "brake horsepower", "C C", "P S I", "D P I", "P P I", "R P M",
    "B T U", "bar",
}  # fmt: skip


def unit_name(unit: str, *, one: bool) -> str:
    """The name of a unit in the singular or plural: 'mile per hour', 'miles per hour'."""
    name = UNITS[unit]
    counted, per, rest = name.partition(" per ")
    if one or counted in _UNCOUNTED or counted.endswith("hertz"):
        return name
    first, space, scale = counted.partition(" ")
    if first == "degree":
        return f"degrees{space}{scale}"
    counted, of, substance = counted.partition(" of ")
    kind, space, noun = counted.rpartition(" ")
    return f"{kind}{space}{_PLURALS.get(noun, noun + 's')}{of}{substance}{per}{rest}"
