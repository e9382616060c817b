import pytest

from vocoder.text.characters import clean
from vocoder.text.markdown import without_markdown
from vocoder.text.normalisation.normalise import normalise
from vocoder.text.normalisation.numbers import cardinal, decade, fraction, ordinal, roman, year

READINGS = [
    (
        "I have 1,234,567 dogs.",
        "I have one million two hundred thirty four thousand five hundred sixty seven dogs.",
    ),
    ("Pi is about 3.14159.", "Pi is about three point one four one five nine."),
    ("It fell by .5 points.", "It fell by point five points."),
    ("It was -5 outside.", "It was minus five outside."),
    ("Agent 007 is here.", "Agent zero zero seven is here."),
    ("Read pages 10-20.", "Read pages ten to twenty."),
    ("Between 10–20% of them left.", "Between ten to twenty percent of them left."),
    ("Add ½ cup and 2¾ cups.", "Add one half cup and two and three quarters cups."),
    ("1/2 of it, 3/4 of that.", "one half of it, three quarters of that."),
    ("We walked 2 1/2 miles.", "We walked two and a half miles."),
    ("Call 555-123-4567 now.", "Call five five five, one two three, four five six seven now."),
    ("Call (555) 123-4567 now.", "Call five five five, one two three, four five six seven now."),
    ("Call 1-800-555-0199.", "Call one, eight hundred, five five five, zero one nine nine."),
    (
        "Call +44 20 7946 0958.",
        "Call plus four four, two zero, seven nine four six, zero nine five eight.",
    ),
    ("My SSN is 123-45-6789.", "My S S N is one two three, four five, six seven eight nine."),
    ("Dial 911.", "Dial nine one one."),
    ("The ID is 12345678901.", "The I D is one two three four five six seven eight nine zero one."),
    ("Henry VIII married six times.", "Henry the eighth married six times."),
    ("Queen Elizabeth II reigned.", "Queen Elizabeth the second reigned."),
    ("Read Chapter IV.", "Read Chapter four."),
    ("World War II ended in 1945.", "World War two ended in nineteen forty five."),
    ("I saw Rocky III.", "I saw Rocky three."),
    ("The 1st, 2nd, 3rd and 22nd.", "The first, second, third and twenty second."),
    ("The 1,000th visitor.", "The one thousandth visitor."),
    (
        "In 1999 and 2021 and 2005.",
        "In nineteen ninety nine and twenty twenty one and two thousand five.",
    ),
    ("In 1905 and 1900.", "In nineteen oh five and nineteen hundred."),
    ("The 1900s and the '90s.", "The nineteen hundreds and the nineties."),
    ("She is in her 30s.", "She is in her thirties."),
    ("From 1984-85.", "From nineteen eighty four to eighty five."),
    ("Rome fell in 476 AD.", "Rome fell in four hundred seventy six A D."),
    ("Caesar died in 44 BC.", "Caesar died in forty four B C."),
    ("It costs $3.50.", "It costs three dollars and fifty cents."),
    ("It costs $1.", "It costs one dollar."),
    ("It costs $0.99.", "It costs ninety nine cents."),
    ("It costs £2.5m.", "It costs two point five million pounds."),
    ("It costs €1,200.", "It costs one thousand two hundred euros."),
    ("A $5 billion loss.", "a five billion dollar loss."),
    ("A $20 bill.", "a twenty dollar bill."),
    ("It costs ¥500.", "It costs five hundred yen."),
    ("It costs 99¢.", "It costs ninety nine cents."),
    ("It costs USD 20.", "It costs twenty U S dollars."),
    ("It costs 20 EUR.", "It costs twenty euros."),
    ("It costs $10-20.", "It costs ten to twenty dollars."),
    ("He pays $15/hour.", "He pays fifteen dollars per hour."),
    ("On 3 January 2021 it rained.", "On January third, twenty twenty one it rained."),
    ("On Jan 3 it rained.", "On January third it rained."),
    ("On January 3, 2021, it rained.", "On January third, twenty twenty one, it rained."),
    ("It was 12/25/2020.", "It was December twenty fifth, twenty twenty."),
    ("It was 2021-01-03.", "It was January third, twenty twenty one."),
    ("It was Jan. 3rd.", "It was January third."),
    ("It was 25.12.2020.", "It was December twenty fifth, twenty twenty."),
    (
        "Backup at 2021-01-03T10:30:00Z.",
        "Backup at January third, twenty twenty one at ten thirty.",
    ),
    ("May 2019 was warm.", "May twenty nineteen was warm."),
    ("Come at 3:30pm.", "Come at three thirty P M."),
    ("Come at 3:30 p.m. on Monday.", "Come at three thirty P M on Monday."),
    ("Come at 15:45.", "Come at fifteen forty five."),
    ("Come at 9 a.m.", "Come at nine A M."),
    ("Come at 12:00.", "Come at twelve o'clock."),
    ("Come at 5:05.", "Come at five oh five."),
    ("It took 1:23:45.", "It took one hour, twenty three minutes and forty five seconds."),
    ("The odds are 3:1.", "The odds are three to one."),
    ("In 16:9 format.", "In sixteen to nine format."),
    ("It weighs 2kg.", "It weighs two kilograms."),
    ("It weighs 1 kg.", "It weighs one kilogram."),
    ("It weighs 5 lbs.", "It weighs five pounds."),
    ("Drive 5 km/h or 60mph.", "Drive five kilometers per hour or sixty miles per hour."),
    (
        "It was 20°C or 98.6°F.",
        "It was twenty degrees Celsius or ninety eight point six degrees Fahrenheit.",
    ),
    ("It was -40°.", "It was minus forty degrees."),
    ("I am 100% sure.", "I am one hundred percent sure."),
    ("He is 5'11\".", "He is five foot eleven."),
    ("A 10MB file at 3GHz.", "a ten megabyte file at three gigahertz."),
    ("A 12V battery.", "a twelve volt battery."),
    ("Add 250 ml.", "Add two hundred fifty milliliters."),
    ("All 1,000 sq ft of it.", "All one thousand square feet of it."),
    ("An area of 3 m².", "An area of three square meters."),
    ("At 9.8 m/s².", "At nine point eight meters per second squared."),
    ("A 10-km run.", "a ten kilometer run."),
    ("A 5-year-old boy.", "a five year old boy."),
    ("Take 5 mg/dL.", "Take five milligrams per deciliter."),
    ("Dr. Smith met Mrs. Jones.", "Doctor Smith met Missus Jones."),
    ("Elm St. is near St. Louis.", "Elm Street is near Saint Louis."),
    ("He lives at 123 Main St.", "He lives at one hundred twenty three Main Street."),
    ("Martin Luther King Jr. spoke.", "Martin Luther King Junior spoke."),
    ("Dogs vs. cats, etc.", "Dogs versus cats, et cetera."),
    ("Fruit, e.g. apples, i.e. food.", "Fruit, for example apples, that is food."),
    ("No. 5 is alive.", "number five is alive."),
    ("See vol. 3, p. 12.", "See volume three, page twelve."),
    ("The U.S. and the U.K. agreed.", "The U S and the U K agreed."),
    ("Apple Inc. and Foo Ltd. merged.", "Apple Incorporated and Foo Limited merged."),
    ("It closes on Tues., Sept. 5.", "It closes on Tuesday, September fifth."),
    ("Boston, MA 02134", "Boston, Massachusetts zero two one three four"),
    ("J. R. R. Tolkien wrote it.", "J R R Tolkien wrote it."),
    ("The FBI and NASA agreed.", "The F B I and NASA agreed."),
    ("She has a PhD.", "She has a P H D."),
    ("Play the MP3.", "Play the M P three."),
    ("COVID-19 spread.", "COVID nineteen spread."),
    ("A 3D film, B2B and WiFi.", "a three D film, B two B and WiFi."),
    ("Two CDs and the FBI's URL.", "Two C D's and the F B I's U R L."),
    ("Use HTTPS.", "Use H T T P S."),
    (
        "The US GDP rose 2.3% in Q3 2021.",
        "The U S G D P rose two point three percent in Q three twenty twenty one.",
    ),
    (
        "See www.example.com/path?q=1.",
        "See W W W dot example dot com slash path question mark Q equals one.",
    ),
    ("See https://example.org.", "See example dot org."),
    ("Mail john.doe@example.com.", "Mail john dot doe at example dot com."),
    ("Open report_v2.pdf.", "Open report underscore V two dot P D F."),
    ("It is in /usr/local/bin.", "It is in slash U S R slash local slash bin."),
    ("Ping 192.168.0.1.", "Ping one nine two dot one six eight dot zero dot one."),
    (
        "Use v2.0.1 or Python 3.11.",
        "Use version two point zero point one or Python three point eleven.",
    ),
    ("AT&T and R&D.", "AT and T and R and D."),
    ("2 + 2 = 4", "two plus two equals four"),
    ("10 - 3 = 7", "ten minus three equals seven"),
    ("3 × 4 ÷ 2 ± 1", "three times four divided by two plus or minus one"),
    ("x^2 + y^2", "X squared plus Y squared"),
    ("10^6 items", "ten to the power of six items"),
    ("A screen of 1920x1080.", "a screen of nineteen twenty by ten eighty."),
    ("~50 people at 24/7.", "about fifty people at twenty four seven."),
    ("A → B", "A to B"),
    ("§ 5 of © 2020", "section five of copyright twenty twenty"),
    ("C++ and C# and .NET", "C plus plus and C sharp and dot net"),
    ("and/or, he/she", "and or, he or she"),
    ("#OpenAI thanks @john.", "hashtag Open A I thanks at john."),
    ("Hi 👩🏽\u200d🚀🇩🇪👍🏿 there!", "Hi there!"),
    ("“Hello,” she said — ‘really’…", "Hello, she said, really,"),
    ("What?! Wow!!!", "What? Wow!"),
    ("STOP RIGHT NOW", "STOP RIGHT NOW"),
    ("THE FBI IS HERE", "THE F B I IS HERE"),
    ("café, naïve, Zürich", "café, naïve, Zürich"),
    ("ＦＵＬＬ ｗｉｄｔｈ", "FULL width"),
    ("so\xadft ze\u200bro", "soft zero"),
    ("AT&amp;T", "AT and T"),
    ("<b>bold</b> text", "bold text"),
    ("camelCase and snake_case", "camel Case and snake case"),
    ("iPhone, eBay and YouTube", "iPhone, eBay and YouTube"),
    ("McDonald's", "McDonald's"),
    ("(yes) [no] {maybe}", "yes, no, maybe,"),
    ("A dog has Vitamin A.", "a dog has Vitamin A."),
    ("rock 'n' roll at 5 o'clock", "rock and roll at five o'clock"),
    ("Don't; it's o.k.", "Don't, it's O K."),
    ("The temperature rose 2-3 degrees.", "The temperature rose two to three degrees."),
    ("He won 3-2.", "He won three to two."),
    ("Room 1204", "Room twelve oh four"),
    ("Boeing 747s and an A380.", "Boeing seven forty sevens and an A three eighty."),
    ("H2O and CO2", "H two O and C O two"),
    ("120/80", "one hundred twenty over eighty"),
    ("on 9/11", "on nine eleven"),
    ("5G and 4K", "five G and four K"),
    ("1500 people in 1500.", "one thousand five hundred people in fifteen hundred."),
    ("5 μm and 5 kΩ", "five micrometers and five kilohms"),
    ("The 2020 Olympics", "The twenty twenty Olympics"),
    ("Louis XIV's court", "Louis the fourteenth's court"),
    ("the 21st century", "the twenty first century"),
    ("Windows 11 and iOS 17.2", "Windows eleven and I O S seventeen point two"),
    ("Flight UA123", "Flight U A one twenty three"),
    ("E = m²", "E equals M squared"),
    ("Go to Gate B12.", "Go to Gate B twelve."),
    ("Ph.D. students", "P H D students"),
    ("Lt. Col. Jones", "Lieutenant Colonel Jones"),
    ("3,5", "three, five"),
    ("1e5", "one E five"),
    ('"Why?" he asked.', "Why? he asked."),
    ("Wait... what?", "Wait, what?"),
    ("The S&P 500 fell 1.5%.", "The S and P five hundred fell one point five percent."),
    ("He scored 9.75/10.", "He scored nine point seven five out of ten."),
    ("in the 1850s, 1920s", "in the eighteen fifties, nineteen twenties"),
    ("Mr. & Mrs. Smith", "Mister and Missus Smith"),
    ("$1,234.56", "one thousand two hundred thirty four dollars and fifty six cents"),
    ("$2.5 trillion", "two point five trillion dollars"),
    ("the '60s", "the sixties"),
    ("7-Eleven", "seven Eleven"),
    ("Covid 19", "Covid nineteen"),
    ("T-shirt", "T shirt"),
    ("I'd've", "I'd've"),
    ("U2", "U two"),
    ("4x4", "four by four"),
    ("100m sprint", "one hundred meters sprint"),
    ("6 ft. tall", "six feet tall"),
    ("Act III, Scene II", "Act three, Scene two"),
    (
        "He scored 8/10 and 9.75/10.",
        "He scored eight out of ten and nine point seven five out of ten.",
    ),
    ("7/10 of them", "seven tenths of them"),
    ("Press Ctrl+C & wait…", "Press Ctrl plus C and wait,"),
    ("Version 2.0 is out.", "Version two point zero is out."),
    ("10:00–11:30", "ten o'clock to eleven thirty"),
    ("Jan–Mar 2020", "January to March twenty twenty"),
    ("He's 6'2\" and 180 lbs.", "He's six foot two and one hundred eighty pounds."),
    ("Charles I was king.", "Charles the first was king."),
    ("Appendix A is long.", "Appendix A is long."),
    ("I got an A+ in math.", "I got an A plus in math."),
    ("the '70s and 80's", "the seventies and eighties"),
    ('He said "it is 12" and left.', "He said it is twelve and left."),
    ("Prices: $5, $10; and so on.", "Prices, five dollars, ten dollars, and so on."),
    ("The 3rd of May", "The third of May"),
    ("Nos. 5 and 6", "numbers five and six"),
    (
        "tel. +1 555 123 4567",
        "telephone plus one, five five five, one two three, four five six seven",
    ),
    ("an MRI of NaCl", "an M R I of Na Cl"),
    ("I LOVE YOU", "I LOVE YOU"),
    ("Dr Jones, Mt Everest, St Paul", "Doctor Jones, Mount Everest, Saint Paul"),
    ("100,000 people", "one hundred thousand people"),
    ("1,000,000.5", "one million point five"),
    ("0.001", "zero point zero zero one"),
    ("U.S.A. today", "U S A today"),
    ("approx. 3 hrs.", "approximately three hours."),
    ("Open Mon-Fri.", "Open Monday to Friday."),
    ("**bold**, `code`, ~~no~~ *it* [link](http://x.com/a)", "bold, code, no it link"),
    ("Only 😀 emoji 👨‍👩‍👧‍👦 and 1️⃣", "Only emoji and one"),
    ("It is 40°26'46\"N.", "It is forty degrees twenty six minutes forty six seconds north."),
    ("a" * 45, "a" * 40 + " " + "a" * 5),
]


@pytest.mark.parametrize(("written", "spoken"), READINGS)
def test_a_text_is_read_as_a_newsreader_would(written: str, spoken: str) -> None:
    assert normalise(without_markdown(clean(written))) == spoken


@pytest.mark.parametrize(("written", "spoken"), READINGS)
def test_what_is_read_stays_the_same_when_read_again(written: str, spoken: str) -> None:
    assert normalise(spoken) == spoken


@pytest.mark.parametrize("written", [written for written, _ in READINGS])
def test_only_words_and_punctuation_are_left(written: str) -> None:
    spoken = normalise(without_markdown(clean(written)))
    assert all(sign.isalpha() or sign in " ',.?!" for sign in spoken)
    assert not any(word.startswith("'") or word.endswith("'") for word in spoken.split())


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("0", "zero"),
        ("110", "one hundred ten"),
        ("1,000,001", "one million one"),
        ("12.50", "twelve point five zero"),
        ("0123", "zero one two three"),
        ("1234567890", "one two three four five six seven eight nine zero"),
    ],
)
def test_cardinal(number: str, words: str) -> None:
    assert cardinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (476, "four hundred seventy six"),
        (1066, "ten sixty six"),
        (1800, "eighteen hundred"),
        (1905, "nineteen oh five"),
        (2000, "two thousand"),
        (2009, "two thousand nine"),
        (2010, "twenty ten"),
    ],
)
def test_year(number: int, words: str) -> None:
    assert year(number) == words


def test_decade_ordinal_and_fraction() -> None:
    assert [decade(1960), decade(2000), decade(2010)] == [
        "nineteen sixties",
        "two thousands",
        "twenty tens",
    ]
    assert [ordinal(1), ordinal(12), ordinal(103)] == ["first", "twelfth", "one hundred third"]
    assert [fraction(1, 2), fraction(3, 2), fraction(5, 8)] == [
        "one half",
        "three halves",
        "five eighths",
    ]


@pytest.mark.parametrize(
    ("written", "number"),
    [("I", 1), ("IV", 4), ("XIV", 14), ("XLII", 42), ("MCMXCIX", 1999), ("IIX", None), ("", None)],
)
def test_roman(written: str, number: int | None) -> None:
    assert roman(written) == number
