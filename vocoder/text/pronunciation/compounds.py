"""Where a word that the lexicon lacks divides into a prefix and a word, or into two words."""

from collections.abc import Callable, Iterator

from vocoder.text.characters import word_set

PREFIXES = {
    "re": "ɹi", "un": "ʌn", "co": "koʊ", "pre": "pɹi", "non": "nɑn", "anti": "ˌænti",
    "multi": "mˌʌlti", "micro": "mˌaɪkɹoʊ", "mini": "mˌɪni", "over": "ˌoʊvɚ", "under": "ˌʌndɚ",
    "sub": "sʌb", "super": "sˌupɚ", "inter": "ˌɪntɚ", "semi": "sˌɛmi", "auto": "ˌɔtoʊ",
    "mis": "mɪs", "dis": "dɪs", "de": "di", "ultra": "ˌʌltɹə", "cyber": "sˌaɪbɚ",
    "crypto": "kɹˌɪptoʊ", "hyper": "hˌaɪpɚ", "meta": "mˌɛtə", "nano": "nˌænoʊ", "bio": "bˌaɪoʊ",
    "eco": "ˌikoʊ", "geo": "d͡ʒˌioʊ", "neo": "nˌioʊ", "post": "pˌoʊst", "pro": "pɹoʊ",
    "tele": "tˌɛlə", "trans": "tɹænz", "tri": "tɹaɪ", "bi": "baɪ", "mega": "mˌɛɡə",
    "proto": "pɹˌoʊtoʊ", "pseudo": "sˌudoʊ", "electro": "ɪlˌɛktɹoʊ", "hydro": "hˌaɪdɹoʊ",
    "photo": "fˌoʊtoʊ", "techno": "tˌɛknoʊ", "neuro": "nˌʊɹoʊ", "macro": "mˌækɹoʊ",
    "intra": "ˌɪntɹə", "extra": "ˌɛkstɹə", "out": "ˌaʊt", "up": "ˌʌp", "e": "i",
}  # fmt: skip
"""Prefixes and their pronunciation."""

_SECOND = word_set(
    "stamp stamps space spaces stream streams streaming share shares sharing stack stacks stop "
    "shark work works working worker workers over book books phone phones board boards ware list "
    "lists line lines time times man men woman women house houses room rooms land side sides ball "
    "balls back backs down up out off on in light lights way ways day days night nights word words "
    "name names file files base bases code codes coder coding point points set sets shot shots "
    "shop shops store stores mark marks market head heads hand hands field fields ground water "
    "wood stone fire fly fish bird birds dog dogs cat cats cake cakes bread burger burgers bar "
    "bars box boxes card cards case cases chain chains chat check checks clip clips cloud craft "
    "crowd "
    "cut cuts data deck desk door drive drives drop drops fall flow flows foot force frame frames "
    "free front game games gate gates girl guard gun guy hat hold hook hooks hub hunt keeper key "
    "kit lab lap layer leaf life lock locks log logs loop maker makers making map maps mate mates "
    "meal meter mill mind mode net nets note notes pack packs pad page pages paper park part party "
    "pass path paths person piece pin pipe place plan plane plate play player playing plug post "
    "posts print proof pull push rate rates ring road roll root rope sack safe sale scape scale "
    "screen screens script scripts seat seed sheet sheets ship ships shirt shoe show sign site "
    "sites size skin sleeve song sound spot spots spread star stars start state stick stock storm "
    "story string strings suit sun swap switch system systems table tag tags tail talk tank tape "
    "task team test tests text thing tip tool tools top town track tracks trade trader tree trip "
    "truck tube type types value view views wall walk wash watch wave wear web wheel wide wild "
    "wind window wing wire wise yard zone able proof friendly hood hop hopper dash host hosts scan "
    "scanner wall walls"
)
"""Common second halves of compounds."""

_SHORTEST = 3
_SHORTEST_COMPOUND = 6


def divisions(word: str, known: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """Two known parts of a word, best first; the first part may be a prefix of ``PREFIXES``.

    Args:
        word: letters a-z.
        known: whether a part is a word.
    """
    if len(word) < _SHORTEST_COMPOUND:
        return
    found = []
    for cut in range(1, len(word) - _SHORTEST + 1):
        first, second = word[:cut], word[cut:]
        prefix = first in PREFIXES and len(second) > _SHORTEST
        if known(second) and (prefix or (cut >= _SHORTEST and known(first))):
            common = second in _SECOND
            # games|top is game|stop if both are words.
            moved = first[-1] == "s" and known(first[:-1]) and known("s" + second)
            balance = min(len(first), len(second))
            found.append((common, not moved, prefix and len(first) > 1, balance, cut))
    for *_, cut in sorted(found, reverse=True):
        yield word[:cut], word[cut:]
