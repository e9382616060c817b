"""Tables as Markdown, as HTML and as plain text for a terminal.

Each function takes a header and rows of cells, all of the same length. The first ``text_columns``
columns hold text and are left-aligned; the others hold numbers and are right-aligned.
"""

import html as entities
from collections.abc import Iterable, Sequence

Row = Sequence[str]


def markdown(header: Row, rows: Iterable[Row], *, text_columns: int = 1) -> str:
    """A Markdown table."""
    rule = [":--"] * text_columns + ["--:"] * (len(header) - text_columns)
    lines = [map(escape_markdown, header), rule, *(map(escape_markdown, row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def escape_markdown(text: str) -> str:
    """Escape what would end a table cell, open a tag or start a link."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[").replace("]", "\\]")


def html(header: Row, rows: Iterable[Row], *, text_columns: int = 1) -> str:
    """An HTML table; cells with numbers have the class ``n``."""

    def line(tag: str, row: Row) -> str:
        cells = []
        for column, cell in enumerate(row):
            kind = "" if column < text_columns else ' class="n"'
            cells.append(f"<{tag}{kind}>{entities.escape(cell)}</{tag}>")
        return f"<tr>{''.join(cells)}</tr>"

    lines = [line("th", header), *(line("td", row) for row in rows)]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def plain(header: Row, rows: Iterable[Row], *, text_columns: int = 1) -> str:
    """A table in columns of equal width, two spaces apart."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def line(row: Row) -> str:
        cells = (
            cell.ljust(width) if column < text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join(map(line, lines))
