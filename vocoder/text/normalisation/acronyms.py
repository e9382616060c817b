"""Reads tokens that are not ordinary words: acronyms, names with digits, camelCase."""

import re

from vocoder.text.characters import WORD_MARK, fold, word_set
from vocoder.text.normalisation.numbers import digits, number_in_name
from vocoder.text.pronunciation.pronouncer import in_lexicon

LONGEST_WORD = 40
"""Longer words are cut into parts, so that no input makes an endless word."""

_SPELLED = word_set(
    "FBI CIA NSA USA UK EU UN UAE TV CEO CFO CTO COO PC CD DVD DJ VIP GPS USB CPU GPU SSD HDD LED "
    "LCD URL URI HTML HTTP HTTPS FTP SSH SQL API SDK IDE CSS XML IP TCP UDP DNS PDF FAQ DIY ATM PR "
    "HR PHD MBA BBC CNN NBC ABC CBS NBA NFL NHL MLB MIT UCLA NYC LA DC BMW IBM HIV DNA RNA MRI CT "
    "AC ID OS AI ML VR AR UI UX QA TTS NLP SMS RSVP ETA FYI ASAP AKA PM AD BC BCE CE EST PST GMT "
    "UTC IRS NGO GDP IPO EV SUV RV UFO IQ GOP NHS IMF WTO PHP AWS ISBN IRA LLC PLC LLM "
    "VPN TSA DMV CDC FDA EPA MVP CPA ESPN WWE UFC"
)
_WORDS = word_set(
    "NASA NATO AIDS UNESCO UNICEF OPEC SCUBA RADAR SONAR LASER RAM ROM PIN SIM SARS COVID GIF JPEG "
    "ZIP NAFTA ASEAN FEMA OSHA HIPAA SWAT DARPA FIFA UEFA NASDAQ CAPTCHA BIOS JSON YAML LASIK "
    "POTUS SCOTUS YOLO OK LAN WAN MIDI FOMO NORAD HELOC MRSA CUDA ICE HUD WASP NASCAR MERS "
    "FAFSA NAFTA ISIS BAFTA EBITDA TED MAGA DACA FICA COBRA ROTC LIDAR JPEG PNG MOMA WYSIWYG "
    "REST SOAP GUI SAAS NOAA ACID CRUD DIMM IKEA SPAM"
)
_SHORT_WORDS = word_set(
    "AN AND ANY ALL ARE AS AT BAD BE BIG BOY BUT BUY BY CAN CAR CUT DAY DID DO DOG END FAR FOR FUN "
    "GET GO GOD GOT GUY HAD HAS HE HER HEY HIM HIS HOT HOW IF IN IS ITS LET MAN ME MEN MY NEW NO "
    "NOR NOT NOW OF OFF OH OLD ON ONE OR OUR OUT OWN PAY PUT RED RUN SAD SAY SEE SHE SIT SO TEN "
    "THE TO TOO TOP TRY TWO UP WAR WAS WAY WE WHY WIN WOW YES YET YOU"
)
_LOWER_CASE = word_set(
    "gpu cpu usb api url urls apis gpus cpus llm llms ai usa uk eu nyc fbi nba cia nfl nhl mlb dna "
    "rna atm ceo cfo cto pdf pdfs html css sql http https ssh ftp tcp udp dns vpn xml php ssd hdd "
    "tts nlp gps tv tvs dvd pc pcs cd cds omg idk fyi btw imo imho tbh smh brb ttyl afaik irl asap "
    "bbc cnn hbo mtv nbc cbs abc espn ibm bmw kfc hiv std adhd ptsd uae usd gbp irs tsa dmv gop "
    "ev evs suv suvs ui ux os io sdk ide id ids ip iq iv diy faq faqs mri rsvp eta phd gmt utc est "
    "pst jpg mp nlp ml nsfw tldr dj vip hr mba ngo ngos vc vcs kpi crm erp cms seo roi b2b aws gcp"
) - {"est", "mp", "abc", "os", "hr", "std", "iv", "io", "asap"}  # fmt: skip
"""Acronyms that are spelled in lower case too: none is a word."""

_AMBIGUOUS = word_set("US IT WHO AM AD LA ID CE AC PR IRA EST AR MAY LED")
"""Usually acronyms if in capitals, but words if the whole text is in capitals."""

_KNOWN = {
    "thx": "thanks", "pls": "please", "plz": "please", "ppl": "people", "bc": "because",
    "govt": "government", "NAACP": "N double A C P", "IEEE": "I triple E", "AAA": "triple A",
    "NCAA": "N C double A", 
    "PhD": "P H D", "PhDs": "P H D's", "iOS": "I O S", "macOS": "mac O S", "pH": "P H",
    "LaTeX": "lah tech", "MySQL": "my S Q L", "NoSQL": "no S Q L", "OAuth": "O auth",
    "GHz": "gigahertz", "MHz": "megahertz", "kHz": "kilohertz", "kWh": "kilowatt hour",
    "vs": "versus", "hrs": "hours", "lbs": "pounds", "kg": "kilograms", "km": "kilometers",
    "cm": "centimeters", "mm": "millimeters", "mph": "miles per hour", "approx": "approximately",
    "TVs": "T V's", "Jr": "Junior", "Sr": "Senior", "Ltd": "Limited", "Inc": "Incorporated",
    "St": "Street", "Dr": "Doctor", "Blvd": "Boulevard", "etc": "et cetera",
}  # fmt: skip
_PART = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"[A-ZÀ-Þ]+(?![a-zß-ÿ])|[A-ZÀ-Þ]?[a-zß-ÿ']+")
_HUMP = re.compile(r"[a-zß-ÿ][A-ZÀ-Þ]|[A-ZÀ-Þ]{2}[a-zß-ÿ]{2}")
_SCOTTISH = re.compile(r"(?:Mc|Mac|Fitz|O'|D'|De|Van|La|Le)[A-Z][a-z']+")
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_ARTICLE = re.compile(
    r"(?<!\b[A-Z] )\bA"
    rf"(?= +(?![A-Z]\b)(?!(?:is|was|and|or|to|through|minus|plus|for|over|"
    r"times|squared|cubed|equals|union|intersection|sub|in|less|greater|divided|prime|implies|not|"
    r"given|sharp|flat|major|minor)\b)"
    rf"[\"'($£€¥#@]*[\w{WORD_MARK}])"
)
_NAMED_A = re.compile(
    r"(?i:\b(?:vitamins?|plan|hepatitis|grade|type|option|exhibit|appendix|point|team|group|class|"
    r"section|letter|an|series|list|part|row|note|influenza|straight)) $"
)


def spell_out(written: str, ending: str = "") -> str:
    """``FBI`` as 'F B I'."""
    return " ".join(char.upper() for char in written if char.isalpha()) + ending


def lower_articles(text: str) -> str:
    """The text with the article ``A`` in lower case; a capital A is a letter to spell out."""
    return _ARTICLE.sub(
        lambda match: (
            "A" if _NAMED_A.search(text, max(0, match.start() - 15), match.start()) else "a"
        ),
        text,
    )


def is_all_caps(text: str) -> bool:
    """Whether the text is all in capitals, so that capitals do not mark acronyms."""
    tokens = [token for token in _TOKEN.findall(text) if len(token) > 1 and token.isalpha()]
    capitals = [token for token in tokens if token.isupper()]
    common = any(
        token in _SHORT_WORDS or (len(token) > 3 and in_lexicon(token)) for token in capitals
    )
    return common and len(capitals) > 1 and len(capitals) >= 0.6 * len(tokens)


def read_tokens(text: str) -> str:
    """The text with acronyms spelled out, and camelCase and names with digits split."""
    all_caps = is_all_caps(text)
    return _TOKEN.sub(lambda match: read_token(match[0], all_caps=all_caps), text)


def read_token(token: str, *, all_caps: bool) -> str:
    """One token as words: single capital letters to spell out, and words of Latin letters."""
    if token in _KNOWN:
        return _KNOWN[token]
    if len(token) == 1:
        if token.isdigit():
            return digits(token)
        return token if token == "a" else token.upper()
    if any(char.isdigit() for char in token):
        return _with_digits(token)
    if token in _LOWER_CASE:
        base = (
            token.removesuffix("s") if token.endswith("s") and token[:-1] in _LOWER_CASE else token
        )
        return spell_out(base, "'s" if base != token else "")
    base, ending = _ending(token)
    if base.isupper() and len(fold(base)) > 1:
        return token if _is_word(base, all_caps) else spell_out(base, ending)
    if _HUMP.search(token) and not in_lexicon(token) and not _SCOTTISH.fullmatch(token):
        parts = _CAMEL.findall(token)
        if len(parts) > 1:
            return " ".join(
                read_token(part.strip("'"), all_caps=False) for part in parts if part != "'"
            )
    if len(token) > LONGEST_WORD:
        starts = range(0, len(token), LONGEST_WORD)
        return " ".join(token[start : start + LONGEST_WORD] for start in starts)
    return token


def _ending(token: str) -> tuple[str, str]:
    """Splits off an acronym's plural or possessive ending: ``CDs`` is ``CD`` and ``'s``."""
    for ending in ("'s", "'S", "s"):
        base = token.removesuffix(ending)
        if base != token and len(base) > 1 and base.isupper():
            return base, "'s"
    return token, ""


def _is_word(capitals: str, all_caps: bool) -> bool:
    if len(capitals) > LONGEST_WORD:
        return False
    if capitals in _WORDS:
        return True
    if all_caps:
        return (capitals not in _SPELLED or capitals in _AMBIGUOUS) and (
            in_lexicon(capitals) or (len(capitals) > 5 and _pronounceable(capitals))
        )
    if capitals in _SPELLED:
        return False
    if len(capitals) < 4:
        return capitals in _SHORT_WORDS
    return in_lexicon(capitals) or (len(capitals) > 5 and _pronounceable(capitals))


def _pronounceable(capitals: str) -> bool:
    return not set(fold(capitals)).isdisjoint("aeiouy")


def _with_digits(token: str) -> str:
    plural = token[-1] == "s" and token[-2].isdigit() and not token[0].islower()
    parts = _PART.findall(token.removesuffix("s") if plural else token)
    read = [
        number_in_name(part)
        if part.isdigit()
        else part
        if len(part) > 2 and (not part.isupper() or part in _WORDS) and in_lexicon(part)
        else spell_out(part)
        if len(part) < 4
        else read_token(part, all_caps=False)
        for part in parts
    ]
    return " ".join(read) + ("s" if plural else "")
