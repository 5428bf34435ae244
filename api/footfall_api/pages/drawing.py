"""Small bar charts that the server draws as SVG, so that they print, and are there without scripts.

Only places and sizes are worked out here, in units of the drawing's own; a template writes the shapes. A bar is what
was counted. What was not measured is a grey band and never a bar of no height; what was measured in part is a lighter
bar. Remarks lie as numbered brackets above the bars.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

_LEFT: Final = 52.0
_RIGHT: Final = 6.0
_BOTTOM: Final = 22.0
_BRACKET: Final = 16.0
_TOP: Final = 22.0


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A label at a place on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Bracket:
    """The time of a remark above the bars."""

    x: float
    width: float
    number: int


@dataclass(frozen=True, slots=True)
class Bars:
    """A drawn bar chart. `base`: where the bars stand; `left`, `right`: the ends of the axis."""

    width: float
    height: float
    left: float
    right: float
    base: float
    top: float
    unit: str
    whole: tuple[Box, ...]
    partial: tuple[Box, ...]
    gaps: tuple[Box, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    brackets: tuple[Bracket, ...]


def nice_ticks(most: float) -> list[int]:
    """Whole numbers from 0 up to at least `most`, three to six of them, in steps of 1, 2 or 5 times a power of ten."""
    if most <= 1:
        return [0, 1]
    rough = most / 4
    power = 10 ** floor(log10(rough)) if rough >= 1 else 1
    step = next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= rough)
    return list(range(0, ceil(most / step) * step + 1, step))


def bars(
    values: Sequence[int | None],
    *,
    labels: Sequence[tuple[int, str]],
    unit: str,
    number: Callable[[int], str],
    partial: Sequence[int] = (),
    gaps: Sequence[tuple[int, int]] = (),
    remarks: Sequence[tuple[int, int]] = (),
    size: tuple[float, float] = (720.0, 190.0),
) -> Bars:
    """A chart of `values`, one bar each (None: no bar).

    `labels` stand below the bars with these indexes; `partial` are indexes of bars measured in part; `gaps` and
    `remarks` are ranges of indexes [from, to).
    """
    width, height = size
    left, right, base = _LEFT, width - _RIGHT, height - _BOTTOM
    top = _TOP + (_BRACKET if remarks else 0)
    step = (right - left) / max(len(values), 1)
    ticks = nice_ticks(max((value for value in values if value is not None), default=0))
    scale = (base - top) / ticks[-1]
    thin = step * (0.78 if step > 3 else 0.9)
    boxes = {
        i: Box(_r(left + i * step + (step - thin) / 2), _r(base - value * scale), _r(thin), _r(value * scale))
        for i, value in enumerate(values)
        if value is not None
    }
    in_part = set(partial)
    return Bars(
        width=width,
        height=height,
        left=left,
        right=right,
        base=base,
        top=top,
        unit=unit,
        whole=tuple(box for i, box in boxes.items() if i not in in_part),
        partial=tuple(box for i, box in boxes.items() if i in in_part),
        gaps=tuple(Box(_r(left + start * step), top, _r((end - start) * step), _r(base - top)) for start, end in gaps),
        rows=tuple(Tick(_r(base - tick * scale), number(tick)) for tick in ticks),
        columns=tuple(Tick(_r(left + (i + 0.5) * step), text) for i, text in labels),
        brackets=tuple(
            Bracket(_r(left + start * step), _r(max((end - start) * step, 6.0)), n)
            for n, (start, end) in enumerate(remarks, 1)
        ),
    )


def _r(value: float) -> float:
    return round(value, 1)
