"""Parts that all reports share: a document without scripts or links, tiles, sections and tables."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from edge.page_style import STYLE

REPORT_STYLE = """
.good{color:var(--right)}.bad{color:var(--wrong)}.warn{color:var(--missed)}
.pad{padding:16px}.two{display:grid;grid-template-columns:1fr 1fr;gap:16px}
@media(max-width:900px){.two{grid-template-columns:1fr}}
summary{cursor:pointer;padding:12px 16px;color:var(--muted)}
ul{margin:0 0 10px;padding-left:20px;color:var(--muted)}
"""


@dataclass(frozen=True, slots=True)
class Tile:
    """One number on top of a page."""

    number: str
    words: str
    kind: str = ""  # a class of the style, for its colour: "good", "warn", "bad"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table with a colour, or with words that show on hovering."""

    words: str
    kind: str = ""
    hint: str = ""


def document(title: str, body: str, more_style: str = "", head: str = "") -> str:
    """A whole page.

    Args:
        title: plain text.
        body: HTML, within `main`.
        more_style: CSS after the common one.
        head: HTML, further elements of the head.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{head}'
        f"<title>{html.escape(title)}</title><style>{STYLE}{REPORT_STYLE}{more_style}</style>"
        f"</head><body><main>{body}</main></body></html>\n"
    )


def tiles(shown: Sequence[Tile]) -> str:
    """Numbers in a row."""
    inside = "".join(
        f'<div class="tile"><b{_class(each.kind)}>{html.escape(each.number)}</b>'
        f"<span>{html.escape(each.words)}</span></div>"
        for each in shown
    )
    return f'<div class="tiles">{inside}</div>'


def section(title: str, inside: str, panel: bool = True) -> str:
    """A heading and what stands below it, in a panel or without."""
    body = f'<div class="panel">{inside}</div>' if panel else inside
    return f"<h2>{html.escape(title)}</h2>{body}"


def items(lines: Sequence[str]) -> str:
    """A list of plain texts."""
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"


def table(head: Sequence[str], rows: Sequence[Sequence[str | Cell]], words: int) -> str:
    """An HTML table whose first `words` columns stand on the left."""

    def cells(tag: str, values: Sequence[str | Cell]) -> str:
        return "".join(
            _cell(tag, value, "l" if n < words else "") for n, value in enumerate(values)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{cells("th", head)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def footer(lines: Sequence[str]) -> str:
    """Plain texts on how a page was made."""
    return f"<footer>{''.join(f'<p>{html.escape(line)}</p>' for line in lines)}</footer>"


def _cell(tag: str, value: str | Cell, side: str) -> str:
    shown = value if isinstance(value, Cell) else Cell(value)
    hint = f' title="{html.escape(shown.hint)}"' if shown.hint else ""
    kind = _class(" ".join(each for each in (side, shown.kind) if each))
    return f"<{tag}{kind}{hint}>{html.escape(shown.words)}</{tag}>"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
