"""Plots: figures for Plotly as JSON, and lines so small that the server draws them itself.

A figure has no colours, which are the stylesheet's, and says in words what it shows.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from plugins.operators_page.formats import figure, percent

Moment = date | datetime
_Said = Callable[[float], str]
"""How a value is written."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A Plotly figure."""

    json: str
    words: str
    """What it shows, for those who do not see it."""
    height: int


@dataclass(frozen=True, slots=True)
class Spark:
    """A line in a table's cell: coordinates within ``width`` by ``height``."""

    runs: list[str]
    """Points of each stretch without a gap."""
    limit_y: float | None
    last: tuple[float, float] | None
    words: str
    width: int = 140
    height: int = 28


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a figure; a value that is None leaves a gap."""

    name: str
    x: Sequence[Moment | str | float]
    y: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    """An interval around each value, drawn as a bar."""
    hover: Sequence[str] = ()


def lines(
    series: Sequence[Series],
    *,
    limits: Sequence[tuple[str, float]] = (),
    height: int = 260,
    unit: str = "",
    share: bool = False,
    from_zero: bool = True,
    words: str = "",
) -> Figure:
    """Lines over days or looks, with their limits dashed.

    Args:
        series: the lines.
        limits: names and values, each a horizontal line; an empty name is not written.
        height: in pixels.
        unit: of the values.
        share: whether the values are shares, written as per cents.
        from_zero: whether the axis begins at 0.
        words: what the figure shows; else it is told from the series.
    """
    said: _Said = (lambda value: percent(value, 2)) if share else figure
    annotations = [_label(f"{name} {said(value)}", value) for name, value in limits if name]
    layout = {
        "height": height,
        "margin": {"l": 48, "r": 16, "t": 24, "b": 40},
        "showlegend": len(series) > 1,
        "legend": {"orientation": "h", "y": -0.22},
        "hovermode": "x unified",
        "xaxis": {"type": "date"} if series and _is_time(series[0].x) else {},
        "yaxis": {
            "tickformat": ".3~%" if share else None,
            "title": {"text": unit},
            "rangemode": "tozero" if from_zero else "normal",
        },
        "shapes": [_limit(value) for _, value in limits],
        "annotations": annotations,
    }
    return _figure([_trace(one) for one in series], layout, height, words or _told(series, limits, said))


def bars(
    names: Sequence[str],
    values: Mapping[str, Sequence[float]],
    *,
    height: int = 280,
    share: bool = False,
    words: str,
) -> Figure:
    """Bars side by side: for each name one of every series."""
    data = [
        {"type": "bar", "name": one, "x": list(names), "y": list(heights)} for one, heights in values.items()
    ]
    layout = {
        "height": height,
        "margin": {"l": 48, "r": 16, "t": 36, "b": 70},
        "barmode": "group",
        "showlegend": len(values) > 1,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},  # below are names of any length
        "xaxis": {"type": "category"},
        "yaxis": {"tickformat": ".0%" if share else None},
    }
    return _figure(data, layout, height, words)


def spark(values: Sequence[float | None], limit: float | None, *, words: str) -> Spark:
    """A small line of values in their order, with the limit where there is one."""
    made = Spark([], None, None, words)
    known = [value for value in values if value is not None]
    if not known:
        return made
    top = max([*known, limit or 0.0]) or 1.0
    bottom = min([*known, 0.0])
    step = made.width / max(len(values) - 1, 1)

    def at(index: int, value: float) -> tuple[float, float]:
        across = 2 + (made.height - 4) * (1 - (value - bottom) / ((top - bottom) or 1.0))
        return round(index * step, 1), round(across, 1)

    runs: list[list[str]] = [[]]
    last = None
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
            continue
        last = at(index, value)
        runs[-1].append(f"{last[0]},{last[1]}")
    limit_y = at(0, limit)[1] if limit is not None else None
    return Spark([" ".join(run) for run in runs if run], limit_y, last, words)


def _figure(data: list[dict[str, Any]], layout: dict[str, Any], height: int, words: str) -> Figure:
    return Figure(
        json.dumps({"data": data, "layout": layout}, default=_plain, allow_nan=False), words, height
    )


def _trace(series: Series) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": _mode(series.x),
        "name": series.name,
        "x": list(series.x),
        "y": [value if value is None or math.isfinite(value) else None for value in series.y],
        "connectgaps": False,
        "marker": {"size": 5},
    }
    if series.low and series.high:
        rows = list(zip(series.y, series.low, series.high, strict=True))
        trace["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [_above(high, value) for value, _, high in rows],
            "arrayminus": [_above(value, low) for value, low, _ in rows],
            "thickness": 1,
        }
    if series.hover:
        trace["text"] = list(series.hover)
        trace["hovertemplate"] = "%{text}<extra>%{fullData.name}</extra>"
    return trace


def _mode(x: Sequence[Any]) -> str:
    """Names have no way from one to the next; many points need no marks."""
    if x and isinstance(x[0], str):
        return "markers"
    return "lines+markers" if len(x) <= 60 else "lines"


def _above(upper: float | None, lower: float | None) -> float | None:
    return None if upper is None or lower is None else max(upper - lower, 0.0)


def _limit(value: float) -> dict[str, Any]:
    return {
        "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": {"width": 1, "dash": "dash"},
    }  # fmt: skip


def _label(text: str, value: float) -> dict[str, Any]:
    return {
        "xref": "paper", "x": 1, "xanchor": "right", "y": value, "yanchor": "bottom", "showarrow": False, "text": text,
        "font": {"size": 11},
    }  # fmt: skip


def _told(series: Sequence[Series], limits: Sequence[tuple[str, float]], said_as: _Said) -> str:
    said = []
    for one in series:
        known = [value for value in one.y if value is not None]
        if known:
            count = f"{len(known)} value{'s' if len(known) > 1 else ''}"
            said.append(
                f"{one.name}: {count}, the newest {said_as(known[-1])}, the highest {said_as(max(known))}"
            )
    said += [f"{name or 'and'} {said_as(value)}" for name, value in limits]
    return "; ".join(said) or "nothing to draw"


def _is_time(values: Sequence[Any]) -> bool:
    return bool(values) and isinstance(values[0], date)


def _plain(value: object) -> str:
    if isinstance(value, date):  # datetime is one
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")
