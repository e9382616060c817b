from html.parser import HTMLParser

import pytest

from vocoder import tables

HEADER = ["name", "kind", "value"]
ROWS = [["a", "long kind", "1.5"], ["long name", "b", "10.25"]]


def test_markdown_aligns_text_left_and_numbers_right() -> None:
    assert tables.markdown(HEADER, ROWS, text_columns=2).splitlines() == [
        "| name | kind | value |",
        "| :-- | :-- | --: |",
        "| a | long kind | 1.5 |",
        "| long name | b | 10.25 |",
    ]


def test_markdown_cells_cannot_break_the_table() -> None:
    row = tables.markdown(["a", "b"], [["x | y", "<script>"]]).splitlines()[-1]
    assert row == r"| x \| y | &lt;script> |"
    assert tables.escape_markdown("[a](b)") == r"\[a\](b)"


def test_plain_columns_line_up() -> None:
    assert tables.plain(HEADER, ROWS, text_columns=2).splitlines() == [
        "name       kind       value",
        "a          long kind    1.5",
        "long name  b          10.25",
    ]


def test_plain_lines_have_no_trailing_spaces() -> None:
    assert tables.plain(["a", "b"], [["section", ""]]) == "a        b\nsection"


def test_html_is_escaped_and_marks_numbers() -> None:
    page = tables.html(HEADER, [["<b>", "&", "3"]], text_columns=2)
    cells: list[tuple[str, dict[str, str | None]]] = []
    texts: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            cells.append((tag, dict(attrs)))

        def handle_data(self, data: str) -> None:
            texts.append(data)

    Reader().feed(page)
    assert [text for text in texts if text.strip()] == [*HEADER, "<b>", "&", "3"]
    assert [attrs for tag, attrs in cells if tag == "td"] == [{}, {}, {"class": "n"}]


@pytest.mark.parametrize("write", [tables.markdown, tables.html, tables.plain])
def test_a_table_may_have_no_rows(write) -> None:
    assert "name" in write(HEADER, [])
