"""Charts as inline SVG: no library, no other host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT, MARGIN = 460, 340, 48
COLOURS = ("#1f6feb", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#57606a")
Points = Sequence[tuple[float, float]] | npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: Points
    marks: Sequence[tuple[float, float, str]] = field(default_factory=tuple)
    """x, y and a text that a pointer over the mark shows."""
    dashed: bool = False


def chart(
    title: str,
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    x_range: tuple[float, float] = (0, 1),
    y_range: tuple[float, float] = (0, 1),
) -> str:
    """Both axes in per cent; what lies outside the ranges is cut off."""

    def at(point: tuple[float, float]) -> tuple[float, float]:
        across = (point[0] - x_range[0]) / (x_range[1] - x_range[0])
        up = (point[1] - y_range[0]) / (y_range[1] - y_range[0])
        return MARGIN + across * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN)

    clip = "clip-" + "".join(letter if letter.isalnum() else "-" for letter in title)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<clipPath id="{clip}"><rect x="{MARGIN}" y="{MARGIN - 4}" width="{WIDTH - 2 * MARGIN + 4}" '
        f'height="{HEIGHT - 2 * MARGIN + 8}"/></clipPath>',
        f'<text x="{WIDTH / 2}" y="20" class="title">{escape(title)}</text>',
        *_axes(at, x, y, x_range, y_range),
        f'<g clip-path="url(#{clip})">',
    ]
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(
            f"{px:.1f},{py:.1f}" for px, py in (at((float(p[0]), float(p[1]))) for p in line.points)
        )
        dash = ' stroke-dasharray="4 4"' if line.dashed else ""
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>')
        for mark_x, mark_y, text in line.marks:
            px, py = at((mark_x, mark_y))
            parts.append(
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}">'
                f"<title>{escape(text)}</title></circle>"
            )
    parts.append("</g>")
    for number, line in enumerate(lines):
        top = HEIGHT - MARGIN - 14 * (len(lines) - number)
        parts.append(
            f'<text x="{WIDTH - MARGIN - 6}" y="{top}" class="key" fill="{COLOURS[number % len(COLOURS)]}">'
            f"{escape(line.name)}</text>"
        )
    return "".join([*parts, "</svg>"])


def _axes(
    at: Callable[[tuple[float, float]], tuple[float, float]],
    x: str,
    y: str,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> list[str]:
    parts = []
    for step in range(6):
        share = step / 5
        x_value = x_range[0] + share * (x_range[1] - x_range[0])
        y_value = y_range[0] + share * (y_range[1] - y_range[0])
        px, bottom = at((x_value, y_range[0]))
        _, top = at((x_value, y_range[1]))
        parts.append(f'<line x1="{px:.1f}" y1="{top:.1f}" x2="{px:.1f}" y2="{bottom:.1f}" class="grid"/>')
        parts.append(f'<text x="{px:.1f}" y="{bottom + 15:.1f}" class="tick">{100 * x_value:g}</text>')
        left, py = at((x_range[0], y_value))
        right, _ = at((x_range[1], y_value))
        parts.append(f'<line x1="{left:.1f}" y1="{py:.1f}" x2="{right:.1f}" y2="{py:.1f}" class="grid"/>')
        parts.append(f'<text x="{left - 16:.1f}" y="{py + 4:.1f}" class="tick">{100 * y_value:g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" class="axis">{escape(x)}, %</text>')
    middle = HEIGHT / 2
    parts.append(
        f'<text x="12" y="{middle}" class="axis" transform="rotate(-90 12 {middle})">{escape(y)}, %</text>'
    )
    return parts
