"""SSML: the supported elements, and errors for everything else."""

import logging

import pytest

from vocoder.errors import TextError
from vocoder.text.frontend import TextFrontEnd
from vocoder.text.utterance import Sentence


def read(content: str) -> list[Sentence]:
    return list(TextFrontEnd().sentences(f"<speak>{content}</speak>", ssml=True))


def test_p_and_s_elements_end_sentences() -> None:
    sentences = read("<p>One two</p><p><s>three</s><s>four?</s></p>five &amp; six")
    assert [sentence.text for sentence in sentences] == [
        "One two.",
        "three.",
        "four?",
        "five and six.",
    ]


@pytest.mark.parametrize(
    ("tag", "seconds"),
    [
        ('<break time="1s"/>', 1.0),
        ('<break time="250ms"/>', 0.25),
        ('<break strength="none"/>', 0.0),
        ('<break strength="strong"></break>', 0.8),
        ("<break/>", 0.4),
        ('<break time="1s"/><break time="500ms"/>', 1.5),
    ],
)
def test_a_break_is_a_pause_after_the_word_before(tag: str, seconds: float) -> None:
    (sentence,) = read(f"Hello {tag} world.")
    assert [word.break_s for word in sentence.words] == [seconds, None]


def test_a_break_between_sentences_precedes_the_second() -> None:
    first, second = read('<break time="2s"/>One. <break time="1s"/> Two. <break time="3s"/>')
    assert (first.break_s, second.break_s) == (2.0, 1.0)
    assert second.words[-1].break_s == 3.0


def test_nested_prosody_accumulates_and_ends() -> None:
    (sentence,) = read(
        'one <prosody rate="slow" pitch="+2st">two <prosody rate="200%" pitch="+1st">three'
        "</prosody></prosody> four"
    )
    assert [(word.rate, word.pitch) for word in sentence.words] == [
        (1.0, 0.0),
        (0.75, 2.0),
        (1.5, 3.0),
        (1.0, 0.0),
    ]


@pytest.mark.parametrize(
    ("attribute", "rate", "pitch"),
    [
        ('rate="1.2"', 1.2, 0.0),
        ('rate="120%"', 1.2, 0.0),
        ('rate="+20%"', 1.2, 0.0),
        ('rate="-50%"', 0.5, 0.0),
        ('rate="fast"', 1.25, 0.0),
        ('pitch="-3st"', 1.0, -3.0),
        ('pitch="+100%"', 1.0, 12.0),
        ('pitch="x-high"', 1.0, 6.0),
    ],
)
def test_prosody_values(attribute: str, rate: float, pitch: float) -> None:
    (sentence,) = read(f"<prosody {attribute}>word</prosody>")
    assert sentence.words[0].rate == pytest.approx(rate)
    assert sentence.words[0].pitch == pytest.approx(pitch)


def test_volume_is_ignored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert read('<prosody volume="loud">word</prosody>')[0].text == "word."
    assert "volume" in caplog.text


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("cardinal", "1,234", "one thousand two hundred thirty four."),
        ("number", "-1.5", "minus one point five."),
        ("ordinal", "22", "twenty second."),
        ("ordinal", "3rd", "third."),
        ("digits", "1984", "one nine eight four."),
        ("characters", "AbA1-", "A B A one dash."),
        ("spell-out", "cat", "C A T."),
        ("fraction", "3/4", "three quarters."),
        ("telephone", "555-1234", "five five five, one two three four."),
        ("date", "2021-01-03", "January third, twenty twenty one."),
        ("time", "3:30pm", "three thirty P M."),
        ("currency", "$3.50", "three dollars and fifty cents."),
        ("unit", "5kg", "five kilograms."),
    ],
)
def test_say_as(kind: str, content: str, expected: str) -> None:
    (sentence,) = read(f'<say-as interpret-as="{kind}">{content}</say-as>')
    assert sentence.text == expected


@pytest.mark.parametrize(
    ("style", "written"), [("dmy", "3/1/2021"), ("mdy", "1/3/2021"), ("ymd", "2021/1/3")]
)
def test_say_as_date_format(style: str, written: str) -> None:
    (sentence,) = read(f'<say-as interpret-as="date" format="{style}">{written}</say-as>')
    assert sentence.text == "January third, twenty twenty one."


def test_spelled_out_letters_are_pronounced_as_letter_names() -> None:
    (sentence,) = read('<say-as interpret-as="characters">AI</say-as> is')
    assert sentence.phonemes == "ˈeɪ ˈaɪ ˈɪz."


def test_phoneme_sub_and_emphasis() -> None:
    (sentence,) = read(
        'a <phoneme alphabet="ipa" ph="təˈmeɪtoʊ">tomato</phoneme> by the '
        '<sub alias="World Wide Web Consortium">W3C</sub> <emphasis level="strong">now</emphasis>'
    )
    assert sentence.text == "a tomato by the World Wide Web Consortium now."
    assert sentence.phonemes.split()[1] == "təmˈeɪtoʊ"


def test_document_with_declaration_comment_cdata_and_line_breaks() -> None:
    text = """<?xml version="1.0" encoding="UTF-8"?>
    <!-- a greeting -->
    <speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">
      Hello
      <![CDATA[there]]>.
    </speak>
    """
    assert [s.text for s in TextFrontEnd().sentences(text, ssml=True)] == ["Hello there."]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ('<voice name="Joe">Hello</voice> there', "Hello there."),
        ('Say <lang xml:lang="fr-FR">bonjour</lang> now', "Say bonjour now."),
        ('Hello <mark name="here"/>there', "Hello there."),
        ('<audio src="https://example.com/a.wav">a bell</audio> rings', "a bell rings."),
        ('<audio src="a.wav"><desc>a bell</desc></audio>It rings', "It rings."),
        ("<metadata><a>written by me</a></metadata>Hello there", "Hello there."),
        ('I <w role="verb">read</w> <token>it</token>', "I read it."),
        ('<amazon:effect name="whispered">Hello</amazon:effect> there', "Hello there."),
        ('Hello <break size="1"/>there', "Hello there."),
        ('<prosody contour="(0%,+20Hz)" pitch="+10Hz" range="low">Hello</prosody>', "Hello."),
        ('<say-as interpret-as="expletive">darn</say-as> it', "darn it."),
        ('room <say-as interpret-as="number" format="digits">204</say-as>', "room two zero four."),
        ('the <say-as interpret-as="number" format="ordinal">3</say-as>', "the third."),
    ],
)
def test_what_cannot_be_followed_is_passed_over(document: str, words: str) -> None:
    found = read(document)
    assert " ".join(sentence.text for sentence in found) == words


BOMB = """<!DOCTYPE speak [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><speak>&b;</speak>"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<speak>a &lt; b", "line 1, column 16: no element found"),
        ("<speak>\n a < b</speak>", "line 2, column 5: not well-formed"),
        ("\n\n<speak><p></speak>", "line 3, column 13: mismatched tag"),
        ("Hello", "syntax error"),
        ("", "no element found"),
        (BOMB, "DOCTYPE"),
        ('<!DOCTYPE speak SYSTEM "file:///etc/passwd"><speak>a</speak>', "DOCTYPE"),
        ("<speak>&unknown;</speak>", "undefined entity"),
        ("<p>a</p>", "exactly one <speak> element"),
        ("<speak><speak>a</speak></speak>", "exactly one <speak> element"),
        ('<speak><break time="1h"/></speak>', "such as 500ms"),
        ('<speak><break time="11s"/></speak>', "at most 10s"),
        ('<speak><break strength="huge"/></speak>', "use one of none, x-weak"),
        ("<speak><break>a</break></speak>", "<break> must be empty"),
        ('<speak><prosody rate="5">a</prosody></speak>', "0.25 to 4"),
        ('<speak><prosody rate="+2">a</prosody></speak>', "such as 1.2"),
        ('<speak><prosody pitch="+13st">a</prosody></speak>', "-12 to 12"),
        ('<speak><prosody pitch="-100%">a</prosody></speak>', "such as +2st"),
        ("<speak><say-as>a</say-as></speak>", "needs the attribute 'interpret-as'"),
        (
            '<speak><say-as interpret-as="date">a</say-as></speak>',
            "cannot read 'a' as say-as date: give a date such as 2021-01-03",
        ),
        (
            '<speak><say-as interpret-as="time"><p>a</p></say-as></speak>',
            "<say-as> may contain only text, not <p>",
        ),
        ('<speak><phoneme ph="yz">a</phoneme></speak>', "unknown symbol 'y'"),
        ("<speak><phoneme>a</phoneme></speak>", "needs the attribute 'ph'"),
        ('<speak><phoneme alphabet="x-sampa" ph="a">a</phoneme></speak>', "'x-sampa': use ipa"),
        ("<speak><sub>a</sub></speak>", "needs the attribute 'alias'"),
        ("<speak>" + "<p>" * 10_000 + "a" + "</p>" * 10_000 + "</speak>", "more than 50 deep"),
        ("<speak>a\x00b</speak>", "not well-formed"),
        ("<speak/>", "has nothing to speak: put words inside <speak>"),
        ('<speak><break time="1s"/></speak>', "has nothing to speak"),
    ],
)
def test_errors_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(TextError) as caught:
        list(TextFrontEnd().sentences(text, ssml=True))
    assert message in str(caught.value)
