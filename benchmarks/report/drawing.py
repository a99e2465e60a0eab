"""Figures as lists of marks, so that the page, an SVG file and a PNG file show the same."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

INK, MUTED, LINE, PANEL = "#ecf0f5", "#92a0b3", "#2a3442", "#161c25"
GOOD, BAD, WARN, BLUE = "#3ddc84", "#ff5d5d", "#ffbe4d", "#5cc8ff"
SERIES = (GOOD, BLUE, WARN, "#c792ea", "#ff8fb1", "#6fb7c9", "#d6e26a", MUTED)
FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif'
LETTER = 0.56  # width of a letter by its size, on average
MARGIN = 14.0
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle; pixels of the figure, as in all marks."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    radius: float = 0.0
    opacity: float = 1.0
    hint: str = ""  # shows on hovering


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through points."""

    points: tuple[Point, ...]
    colour: str
    width: float = 1.0
    dashes: tuple[float, float] | None = None
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A disc, or a ring."""

    x: float
    y: float
    radius: float
    colour: str
    hollow: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """One line of text; `y` is its baseline."""

    x: float
    y: float
    text: str
    colour: str = MUTED
    size: float = 12.0
    anchor: str = "start"  # "middle", "end"
    bold: bool = False
    turned: bool = False  # upwards, around its place


Mark = Box | Stroke | Dot | Words


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with a name for its file, and with a title."""

    name: str  # "tails-multi-stream"
    title: str
    width: float
    height: float
    marks: tuple[Mark, ...]
    words: str = ""  # below it: how to read it


def text_width(text: str, size: float) -> float:
    """About how wide a text becomes, pixels."""
    return LETTER * size * len(text)


def legend(entries: Sequence[tuple[str, str]], x: float, y: float, width: float) -> list[Mark]:
    """Names with their colours, in as many lines of 18 px as they need, from `y` on downwards.

    Args:
        entries: (name, colour).
        x: left end.
        y: top.
        width: of a line.
    """
    marks: list[Mark] = []
    at = x
    for name, colour in entries:
        wide = 24 + text_width(name, 12) + 14
        if at > x and at + wide > x + width:
            at, y = x, y + 18
        marks.append(Stroke(((at, y + 9), (at + 16, y + 9)), colour, 3))
        marks.append(Words(at + 22, y + 13, name, INK))
        at += wide
    return marks


def legend_height(entries: Sequence[tuple[str, str]], width: float) -> float:
    """Height of such a legend, pixels."""
    marks = legend(entries, 0, 0, width)
    return max((mark.y for mark in marks if isinstance(mark, Words)), default=0.0) + 10


def svg(figure: Figure, alone: bool = False) -> str:
    """The figure as SVG text.

    Args:
        figure: any.
        alone: as a file of its own, with its title and a background.
    """
    inside = "".join(_mark(mark) for mark in figure.marks)
    described = f"<title>{html.escape(figure.title)}</title>"
    if not alone:
        return _element(figure.width, figure.height, described + inside)
    head = 34.0
    wide, high = figure.width + 2 * MARGIN, figure.height + 2 * MARGIN + head
    back = _mark(Box(0, 0, wide, high, PANEL))
    title = _mark(Words(MARGIN, MARGIN + 16, figure.title, INK, 16, bold=True))
    moved = f'<g transform="translate({MARGIN:g} {MARGIN + head:g})">{inside}</g>'
    # The name of the format, which a file of its own must have; nothing is loaded from there.
    space = f' xmlns="http://www.w3.org/2000/svg" width="{wide:g}" height="{high:g}"'
    return _element(wide, high, described + back + title + moved, space) + "\n"


def _element(width: float, height: float, inside: str, more: str = "") -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img"{more} '
        f"font-family='{FONT}'>{inside}</svg>"
    )


def _mark(mark: Mark) -> str:
    if isinstance(mark, Box):
        corner = f' rx="{mark.radius:g}"' if mark.radius else ""
        shape = (
            f'<rect x="{mark.x:.1f}" y="{mark.y:.1f}" width="{max(mark.width, 0):.1f}" '
            f'height="{max(mark.height, 0):.1f}" fill="{mark.fill}"{_opacity(mark.opacity)}{corner}'
        )
        return f"{shape}>{_hint(mark.hint)}</rect>"
    if isinstance(mark, Stroke):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
        dashes = f' stroke-dasharray="{mark.dashes[0]:g} {mark.dashes[1]:g}"' if mark.dashes else ""
        return (
            f'<polyline points="{points}" fill="none" stroke="{mark.colour}" '
            f'stroke-width="{mark.width:g}"{dashes}{_opacity(mark.opacity)}/>'
        )
    if isinstance(mark, Dot):
        paint = (
            f'fill="{PANEL}" stroke="{mark.colour}" stroke-width="2"'
            if mark.hollow
            else f'fill="{mark.colour}"'
        )
        shape = f'<circle cx="{mark.x:.1f}" cy="{mark.y:.1f}" r="{mark.radius:g}" {paint}'
        return f"{shape}>{_hint(mark.hint)}</circle>"
    turned = f' transform="rotate(-90 {mark.x:.1f} {mark.y:.1f})"' if mark.turned else ""
    anchor = f' text-anchor="{mark.anchor}"' if mark.anchor != "start" else ""
    weight = ' class="b" font-weight="650"' if mark.bold else ' font-weight="400"'
    return (
        f'<text x="{mark.x:.1f}" y="{mark.y:.1f}" font-size="{mark.size:g}" fill="{mark.colour}"'
        f"{anchor}{weight}{turned}>{html.escape(mark.text)}</text>"
    )


def _opacity(value: float) -> str:
    return f' opacity="{value:g}"' if value < 1 else ""


def _hint(words: str) -> str:
    return f"<title>{html.escape(words)}</title>" if words else ""
