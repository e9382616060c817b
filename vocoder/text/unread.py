"""What is not read, by intent: this list and nothing else.

All other letters, digits and signs are read by a rule, spelled out or named.
"""

import unicodedata

_ELEMENTS = (
    "a|abbr|address|article|aside|audio|b|blockquote|body|br|button|caption|center|cite|code|col|"
    "dd|del|details|dfn|div|dl|dt|em|fieldset|figcaption|figure|font|footer|form|h[1-6]|head|header|"
    "hr|html|i|iframe|img|input|ins|kbd|label|legend|li|link|main|mark|meta|nav|ol|option|p|pre|q|s|"
    "samp|script|section|select|small|source|span|strike|strong|style|sub|summary|sup|svg|table|"
    "tbody|td|textarea|tfoot|th|thead|time|title|tr|tt|u|ul|var|video|path|think|thinking|answer|"
    "speak|break|prosody|emphasis|voice|say-as|phoneme"
)
_ATTRIBUTE = (
    r"""\s+[A-Za-z][\w:.-]{0,40}(?:\s*=\s*(?:"[^"<>]{0,200}"|'[^'<>]{0,200}'|[^\s"'<>]{1,200}))"""
)
_FLAG = r"\s+(?:disabled|checked|selected|async|defer|hidden|controls|autoplay|required)"

TAG = (
    rf"<(?:/(?:{_ELEMENTS})\s?|!--.{{0,200}}?--"
    rf"|(?:{_ELEMENTS})(?:{_ATTRIBUTE}|{_FLAG}){{0,8}}\s?/?)>"
)
"""A tag of HTML or SSML and its attributes."""

CLOSING_TAG = r"</[A-Za-z][\w:-]{0,40}>"
"""The closing tag of any element."""

ADDRESS_BRACKETS = r"<((?:https?|ftp|mailto):[^<>\s]{1,500}|[\w.+-]{1,64}@[\w.-]{1,100})>"
"""The angle brackets around a link or mail address."""

EMOTICON = r"(?<!\w)(?:[:;=]['o-]?[)(\]\[DPp|*\\/]+|<3+)(?!\w)"
"""An emoticon, as emoji are."""

LINK_TARGET = r"!?\[([^\[\]\n]{0,500})\]\([^()\s]{0,2000}(?: \"[^\"\n]{0,100}\")?\)"
"""A Markdown link or image: its text is read, its target is not."""

FOOTNOTE_MARK = (
    r"(?<=[.,;:!?)\"'])(?:\[\d{1,3}(?:[,–-] ?\d{1,3}){0,5}\]){1,9}(?![(\w\[])"
    r"|(?<=[a-z]{3})\[[1-9]\d{0,2}(?:[,–-] ?\d{1,3}){0,5}\](?![(\w\[=])"
    r"|\[\^[\w-]{1,20}\]:?"
)
"""A footnote's mark in the text: ``note.[12]``, ``[^1]``."""

RAISED_FOOTNOTE_MARK = r"(?:(?<=[a-z]{3})|(?<=[.,;:!?)\"'”’]))[¹²³⁰⁴-⁹]{1,3}(?!\w)"
"""A footnote's mark in superscript digits: ``note¹``."""

FENCE = r"(?m)^['~]{3,}[^\n]*$"
"""A code fence and the name of the language after it."""

TABLE_RULE = r"(?m)^\|?(?: ?:?-{3,}:? ?\|){1,50}(?: ?:?-{3,}:?)? ?$"
"""The line between a table's heading and its rows."""

RULE = r"(?m)^(?:[-*_=] ?){3,}$"
"""A horizontal rule."""

ADDRESS_SCHEME = r"^(?i:(?:https?|ftp|file)://|mailto:)"
"""The scheme of an address."""

_NAMED_SYMBOLS = "°©®™℃℉№℗Ω√♭♮♯†‡⌘⌥⇧⌃"


def is_emoji(char: str) -> bool:
    """Whether a character is an emoji or another picture, which has no name in speech."""
    category = unicodedata.category(char)
    if category == "Sk":
        return char > "\U0001f000"
    if category != "So" or char in _NAMED_SYMBOLS:
        return False
    return not any(part.isalnum() for part in unicodedata.normalize("NFKC", char))
