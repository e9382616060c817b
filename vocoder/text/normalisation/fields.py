"""Notation of particular fields: the Bible, law, chemistry, music, chess, medicine, aircraft."""

import re

from vocoder.text.normalisation.numbers import cardinal, digits, number_in_name, ordinal
from vocoder.text.normalisation.rules import RuleSet, any_of, rule, rule_set

_BOOKS = {
    "Gen": "Genesis", "Ex": "Exodus", "Exod": "Exodus", "Lev": "Leviticus", "Num": "Numbers",
    "Deut": "Deuteronomy", "Josh": "Joshua", "Judg": "Judges", "Sam": "Samuel", "Kgs": "Kings",
    "Chron": "Chronicles", "Chr": "Chronicles", "Neh": "Nehemiah", "Ps": "Psalm", "Pss": "Psalms",
    "Prov": "Proverbs", "Eccl": "Ecclesiastes", "Eccles": "Ecclesiastes", "Isa": "Isaiah",
    "Jer": "Jeremiah", "Lam": "Lamentations", "Ezek": "Ezekiel", "Dan": "Daniel", "Hos": "Hosea",
    "Mic": "Micah", "Hab": "Habakkuk", "Zech": "Zechariah", "Mal": "Malachi", "Matt": "Matthew",
    "Mt": "Matthew", "Mk": "Mark", "Lk": "Luke", "Jn": "John", "Rom": "Romans",
    "Cor": "Corinthians", "Gal": "Galatians", "Eph": "Ephesians", "Phil": "Philippians",
    "Col": "Colossians", "Thess": "Thessalonians", "Tim": "Timothy", "Tit": "Titus",
    "Philem": "Philemon", "Heb": "Hebrews", "Jas": "James", "Pet": "Peter", "Rev": "Revelation",
}  # fmt: skip
BOOK_ABBREVIATIONS = frozenset(name.lower() for name in _BOOKS)
"""Abbreviated names of books of the Bible, which do not end a sentence before a number."""

_BOOKS |= {
    name: name
    for name in {
        *_BOOKS.values(), "Ezra", "Job", "Ruth", "Esther", "Joel", "Amos", "Obadiah", "Jonah",
        "Nahum", "Zephaniah", "Haggai", "Acts", "Jude", "Song of Solomon", "Song of Songs", "Surah",
        "Sura", "Quran", "Psalms",
    }
}  # fmt: skip
_NUMBERED_BOOKS = (
    "Sam", "Samuel", "Kgs", "Kings", "Chr", "Chron", "Chronicles", "Cor", "Corinthians", "Thess",
    "Thessalonians", "Tim", "Timothy", "Pet", "Peter", "Jn", "John",
)  # fmt: skip
_BY_VERSE = {"Psalm", "Psalms", "Surah", "Sura", "Quran"}
_ORDINALS = {"1": "First", "2": "Second", "3": "Third", "I": "First", "II": "Second"}

_ELEMENTS = {
    "H": "hydrogen", "He": "helium", "Li": "lithium", "C": "carbon", "N": "nitrogen", "O": "oxygen",
    "F": "fluoride", "Na": "sodium", "Mg": "magnesium", "Al": "aluminum", "P": "phosphorus",
    "S": "sulfur", "Cl": "chloride", "K": "potassium", "Ca": "calcium", "Cr": "chromium",
    "Mn": "manganese", "Fe": "iron", "Co": "cobalt", "Ni": "nickel", "Cu": "copper", "Zn": "zinc",
    "Sr": "strontium", "Tc": "technetium", "Ag": "silver", "I": "iodine", "Cs": "cesium",
    "Ba": "barium", "Pb": "lead", "Ra": "radium", "Rn": "radon", "U": "uranium", "Pu": "plutonium",
    "Br": "bromide", "Hg": "mercury", "Am": "americium", "Th": "thorium", "Po": "polonium",
}  # fmt: skip
_SYMBOLS = (
    "He|Li|Be|Ne|Na|Mg|Al|Si|Cl|Ar|Ca|Sc|Ti|Cr|Mn|Fe|Co|Ni|Cu|Zn|Ga|Ge|As|Se|Br|Kr|Rb|Sr|Zr|Nb|Mo|"
    "Ag|Cd|Sn|Sb|Te|Xe|Cs|Ba|Pt|Au|Hg|Pb|Bi|Rn|Ra|Th|Pu|H|B|C|N|O|F|P|S|K|I|U|V|W|Y"
)
_PIECES = {"K": "king", "Q": "queen", "R": "rook", "B": "bishop", "N": "knight"}
_SIGNS = {"+": "plus", "-": "minus", "−": "minus"}
_ACCIDENTALS = {"♭": "flat", "♯": "sharp", "♮": "natural", "#": "sharp", "b": "flat"}
_QUALITIES = {
    "m": "minor", "min": "minor", "maj": "major", "M": "major", "dim": "diminished",
    "aug": "augmented", "sus": "suspended", "add": "add", "": "",
}  # fmt: skip
_LATIN_DOSES = (
    "b\\.i\\.d|t\\.i\\.d|q\\.i\\.d|q\\.d|p\\.r\\.n|q\\.h\\.s|b\\.d|t\\.d\\.s|p\\.o|i\\.v|i\\.m"
)


def _verse(match: re.Match[str]) -> str:
    groups = match.groupdict("")
    volume, book, verse, last = (
        groups.get(name, "") for name in ("volume", "book", "verse", "last")
    )
    number = f"{_ORDINALS[volume]} " if volume else ""
    words = f"{number}{_BOOKS[book]} {cardinal(match['chapter'])}"
    if verse:
        between = " verse " if _BOOKS[book] in _BY_VERSE else " "
        words += between + cardinal(verse)
    return f"{words} to {cardinal(last)}" if last else words


def _isotope(match: re.Match[str]) -> str | None:
    element = _ELEMENTS.get(match["element"])
    return f"{element} {number_in_name(match['mass'])}" if element else None


def _ion(match: re.Match[str]) -> str:
    element, charge = match["element"], match.groupdict().get("charge")
    name = _ELEMENTS.get(element) or " ".join(element.upper())
    return f"{name} {cardinal(charge) + ' ' if charge else ''}{_SIGNS[match['sign']]}"


def _formula(match: re.Match[str]) -> str:
    return _letters(match[0])


def _letters(formula: str) -> str:
    parts = re.findall(r"[A-Z]|[a-z]|\d+", formula)
    return " ".join(cardinal(part) if part.isdigit() else part.upper() for part in parts)


def _chord(match: re.Match[str]) -> str:
    accidental = _ACCIDENTALS.get(match["accidental"] or "", "")
    quality = _QUALITIES[match["quality"] or ""]
    number = cardinal(match["number"]) if match["number"] else ""
    slash = match["bass"]
    bass = f"over {slash[1]} {_ACCIDENTALS.get(slash[2:], '')}" if slash else ""
    return " ".join(filter(None, (match["note"], accidental, quality, number, bass.strip())))


def _move(match: re.Match[str]) -> str:
    piece = _PIECES[match["piece"]]
    origin = match["origin"] or ""
    takes = " takes" if match["takes"] else ""
    check = {"+": " check", "#": " mate"}.get(match["check"] or "", "")
    start = f" {origin.upper() if origin.isalpha() else cardinal(origin)}" if origin else ""
    return f"{piece}{start}{takes} {match['file'].upper()} {cardinal(match['rank'])}{check}"


def _pawn(match: re.Match[str]) -> str:
    check = {"+": " check", "#": " mate"}.get(match[5] or "", "")
    return (
        f"{match[1].upper()} {match[2] and 'takes '}{match[3].upper()} {cardinal(match[4])}{check}"
    )


def _castle(match: re.Match[str]) -> str:
    return "castles queenside" if match[0].count("-") == 2 else "castles kingside"


def _reporter(match: re.Match[str]) -> str:
    series = f" {ordinal(int(match['series']))}" if match["series"] else ""
    return f"{cardinal(match['volume'])} F{series} "


def _doses(match: re.Match[str]) -> str:
    return " ".join(match[1].replace(".", "").upper())


def _aircraft(match: re.Match[str]) -> str:
    return f"{number_in_name(match[1])} {number_in_name(match[2])}"


def _down(match: re.Match[str]) -> str:
    return f"{match[1]} and {match[2]}"


_BOOK = rf"(?:(?P<volume>[123]|I{{1,2}}) )?\b(?P<book>{any_of(_BOOKS)})\.?"
_MOVE_END = r"(?![\w-])"

SETS: tuple[RuleSet, ...] = (
    rule_set(
        r"\d:\d|\bPs|\b[12I] [A-Z][a-z]{1,12}\.? \d",
        rule(rf"(?<![\w.]){_BOOK} (?P<chapter>\d{{1,3}}):(?P<verse>\d{{1,3}})"
             r"(?:[-–](?P<last>\d{1,3}))?(?![\w:])", _verse),
        rule(rf"(?<![\w.])(?P<volume>[123]|I{{1,2}}) (?P<book>{any_of(_NUMBERED_BOOKS)})\.? "
             r"(?P<chapter>\d{1,3})(?![\w:])", _verse),
        rule(r"(?<![\w.])\b(?P<book>Ps|Pss|Psalms?)\.? (?P<chapter>\d{1,3})"
             r"(?![\w:])", _verse),
    ),
    rule_set(
        r"F\.|Ct\.|§|[a-z]\.[a-z]|U\.S\. ",
        rule(r"\b(?P<volume>\d{1,4}) F\.(?: ?(?P<series>[234])d)? (?=\d)", _reporter),
        rule(r"\bF\.(\d)d\b", lambda match: f"F {ordinal(int(match[1]))}"),
        rule(r"\bF\. ?Supp\.(?: ?(\d)d)?", lambda match: "F supplement"
             + (f" {ordinal(int(match[1]))}" if match[1] else "")),
        rule(r"\bS\. ?Ct\.(?= \d)", "Supreme Court"),
        rule(rf"\b({_LATIN_DOSES})\b\.?", _doses),
        rule(r"(?<!\w)(§§?) ?(?=\d)",
             lambda match: "sections " if match[1] == "§§" else "section "),
        rule(r"(?<=section )(\d{4})(?!\w|[.,]\d)", lambda match: number_in_name(match[1])),
        rule(r"\b(No\.? )?(\d{3})-(\d{3})(?= U\.S\.)", lambda match: digits(match[0])),
    
    ),
    rule_set(
        r"[A-Z][a-z]?\^?\d|\^\d|[A-Z][a-z]?-\d|[a-zA-Z][+-]\W|[A-Z][a-z]?[A-Z]",
        rule(r"(?<!\w)\^(?P<mass>\d{1,3})(?P<element>[A-Z][a-z]?)\b", _isotope),
        rule(r"(?<![\w.])(?P<element>U|Pu|Sr|Cs|Co|Am|Ra|Rn|Tc|Th|Po|[CIHK](?=-(?:14|12|13|131|123|40)\b))"
             r"-(?P<mass>\d{2,3})(?![\w-])", _isotope),
        rule(r"\b(OH|NO3|SO4|PO4|CO3|NH4|HCO3)\^?(\d?)([+-])(?!\w)", lambda match:
             f"{_letters(match[1])} {cardinal(match[2]) if match[2] else ''} "
             f"{_SIGNS[match[3]]}"),
        rule(rf"\b(?P<element>{_SYMBOLS})\^?(?P<charge>[2-7])?(?<=[\^2-7])(?P<sign>[+-])"
             rf"(?!\w)", _ion),
        rule(r"(?<![\w.])(?P<element>Na|Cl|Li|Ca|Mg|Fe|Cu|Zn|Ag|H|K|Br)\^?"
             r"(?P<sign>[+-])(?= (?:ions?|and|channels?|pump|concentration|\+|levels?)\b)", _ion),
        rule(rf"(?<![\w.])(?=[A-Za-z]{{1,12}}\d)(?=\w{{3,24}}\b)(?:(?:{_SYMBOLS})\d{{0,2}}){{2,10}}"
             r"(?![\w']|\.\d)(?<![a-z]{3})", _formula),
        rule(r"(?<![\w.])(?:NaCl|HCl|NaOH|KOH|KCl|CaO|MgO|LiCl|HBr|HF|NaF|CuO|ZnO|FeO|KBr|AgCl|NaI)"
             r"(?!\w)", _formula),
    ),
    rule_set(
        r"[a-h][1-8]|O-O|0-0|\b[A-G](?:[b#♭♯♮]|m|maj|min|dim|aug|sus|add)",
        rule(r"\b(?P<piece>[KQRBN])(?P<origin>[a-h1-8])?(?P<takes>x)?(?P<file>[a-h])(?P<rank>[1-8])"
             r"(?P<check>[+#])?" + _MOVE_END, _move),
        rule(r"\b([a-h])(x)([a-h])([1-8])([+#])?" + _MOVE_END, _pawn),
        rule(r"(?<![\w-])O-O(?:-O)?(?![\w-])|(?<![\w-])0-0(?:-0)?(?= castl)", _castle),
        rule(r"\b(?P<note>[A-G])(?P<accidental>[♭♯♮]|#(?!\w)|#(?=m|maj|min|dim|aug|sus|add|\d))"
             r"(?P<quality>maj|min|dim|aug|sus|add|m)?(?P<number>\d{1,2})?(?P<bass>/[A-G][♭♯#]?)?(?!\w)",
             _chord),
        rule(r"\b(?P<note>[A-G])(?P<accidental>b)?(?P<quality>maj|min|dim|aug|sus|add|m)"
             r"(?P<number>\d{1,2})?(?P<bass>/[A-G][♭♯#]?)?(?![\w'])(?<![A-G]m)", _chord),
        rule(r"\b(?P<note>[A-G])(?P<accidental>b)?(?P<quality>m)(?P<number>\d{0,2})(?P<bass>/[A-G])?"
             r"(?= (?:chord|and [A-G]|to [A-G]|is|then)\b|[-–,] ?[A-G]|7)(?!\w)", _chord),
        rule(r"\b(?P<note>[A-G])(?P<accidental>b)(?P<quality>)(?P<number>)(?P<bass>)"
             r"(?= (?:major|minor|chord|flat|clarinet|scale|trumpet)\b)", _chord),
    ),
    rule_set(
        r"\d[-/ ]|[A-FO][+-]",
        rule(r"\b(7[0-9]7)-([2-9]\d\d)(?!\w)", _aircraft),
        rule(r"\b(?:[Aa]irbus |A)(3\d0)-([1-9]\d\d)(?!\w)", lambda match: "A " + _aircraft(match)),
        rule(r"\b(1st|2nd|3rd|4th)[- ](?:and|&)[- ](\d{1,2}|[Gg]oal|inches)\b", _down),
        rule(r"\b(2|3|4|5|6|7|9|12)/(2|4|8|16)(?=[- ](?:time|meter|metre|beat|signature|feel|"
             r"groove|rhythm|"
             r"waltz)\b)", lambda match: f"{cardinal(match[1])} {cardinal(match[2])}"),
        rule(r"\b([Tt]ype |[Bb]lood type )?(AB|A|B|O)([+-])(?= (?:blood|donors?|type)\b)",
             lambda match: f"{match[1] or ''}{' '.join(match[2])} "
             f"{'positive' if match[3] == '+' else 'negative'}"),
        rule(r"\b([A-F])([+-])(?=[\s,.;!?)]|$)(?! ?[A-Za-z\d] ?=)(?=$|[,.;!?)]| (?:in|on|for|"
             r"student|"
             r"grade|average|and|or|is|to)\b)",
             lambda match: f"{match[1]} {_SIGNS[match[2]]}"),
    ),
)  # fmt: skip
"""Applied before money and dates, whose patterns are more general."""
