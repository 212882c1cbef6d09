"""The cold starts as a bar chart in SVG: medians, quartiles, and a line at the floor."""

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Final

from bench.report import spread

_LEFT: Final = 330
_WIDTH: Final = 480
_BAR: Final = 18
_STEP: Final = 28
_TOP: Final = 58
_OURS: Final = "#1a7f5a"
_PEERS: Final = "#8a939c"


def chart(multiples: Mapping[str, Sequence[float]], ours: Collection[str], commit: str) -> str:
    """Draw the first answers of cold starts.

    Args:
        multiples: How many times as long as the floor each took, by contestant.
        ours: Which of them are our functions.
        commit: What was measured.
    """
    scale = _WIDTH / max(spread(values)[2] for values in multiples.values())
    height = _TOP + _STEP * len(multiples) + 34
    right = _LEFT + _WIDTH + 90
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right} {height}" '
            'font-family="system-ui, sans-serif" font-size="13">'
        ),
        f'<rect width="{right}" height="{height}" fill="white"/>',
        (
            '<text x="12" y="24" font-size="16" font-weight="600">'
            "Cold start: from the start of the process to the first answer</text>"
        ),
        (
            f'<text x="12" y="43" fill="#555">multiples of the floor; lines are quartiles; '
            f"{escape(commit)}</text>"
        ),
    ]
    for row, (name, values) in enumerate(multiples.items()):
        y = _TOP + _STEP * row
        low, middle, high = (value * scale for value in spread(values))
        colour = _OURS if name in ours else _PEERS
        lines += [
            f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{middle:.1f}" height="{_BAR}" fill="{colour}"/>',
            (
                f'<line x1="{_LEFT + low:.1f}" x2="{_LEFT + high:.1f}" y1="{y + 9}" y2="{y + 9}" '
                'stroke="black"/>'
            ),
            f'<text x="{_LEFT + high + 6:.1f}" y="{y + 14}">{middle / scale:.2f} ×</text>',
        ]
    at = _LEFT + scale
    lines += [
        (
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 6}" y2="{height - 28}" '
            'stroke="#c0392b" stroke-dasharray="4 3"/>'
        ),
        f'<text x="{at:.1f}" y="{height - 12}" fill="#c0392b" text-anchor="middle">floor</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
