"""Draws an on-sale as SVG that reads on light and on dark paper."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.buyers import REFUSED, Try

INK = "#808080"
BLUE, ORANGE, PURPLE = "#3b8bd4", "#d9822b", "#9a6fd0"
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "on-sale",  # the same run draws the same file
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
BINS = 80
POINTS = 200


def draw_sale(path: Path, tries: Sequence[Try], begin: float) -> None:
    """Draw the seats sold, the answers a second and the time to an answer, each over the time since the beginning."""
    end = max(each.start + each.seconds for each in tries) - begin
    width = end / BINS
    bins: list[list[Try]] = [[] for _ in range(BINS)]
    for each in tries:
        bins[min(int((each.start + each.seconds - begin) / width), BINS - 1)].append(each)
    moments = [(number + 1) * width for number in range(BINS)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 8), layout="constrained")
        sold, answers, latency = figure.subplots(3, 1, sharex=True)
        booked = [sum(each.code == 0 for each in some) for some in bins]
        refused = [sum(each.code == REFUSED.value[0] for each in some) for some in bins]
        shed = [len(some) - yes - no for some, yes, no in zip(bins, booked, refused, strict=True)]
        sold.plot([0, *moments], [0, *(2 * sum(booked[: number + 1]) for number in range(BINS))], color=BLUE)
        sold.set_ylabel("seats sold")
        for name, counts, color in (("booked", booked, BLUE), ("refused", refused, ORANGE), ("shed", shed, PURPLE)):
            answers.plot(moments, [count / width for count in counts], color=color, label=name)
        answers.set_ylabel("answers a second")
        answers.legend()
        for name, share, style in (("median", 0.5, "-"), ("p99", 0.99, "--")):
            latency.plot(moments, [_seconds(some, share) for some in bins], color=BLUE, linestyle=style, label=name)
        latency.set_ylabel("seconds to an answer")
        latency.set_xlabel("seconds since the sale began")
        latency.legend()
        for axes in (sold, answers, latency):
            _finish(axes)
        _save(figure, path)


def draw_seats_sold(path: Path, sales: Mapping[str, Sequence[float]]) -> None:
    """Draw the seats that several sales had sold over time, in one plot.

    Args:
        path: The file to write.
        sales: For each sale, by its name in the legend, when each pair was sold: seconds since its beginning, in order.
    """
    end = max(moments[-1] for moments in sales.values())
    times = [end * number / POINTS for number in range(POINTS + 1)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.5), layout="constrained")
        sold = figure.subplots()
        for (name, moments), color in zip(sales.items(), (BLUE, ORANGE), strict=False):
            seats = [2 * bisect_right(moments, time) for time in times]
            sold.plot(times, seats, color=color, linewidth=2, label=name)
        sold.set_ylabel("seats sold")
        sold.set_xlabel("seconds since the sale began")
        sold.set_xlim(0, end)
        sold.yaxis.set_major_formatter("{x:,.0f}")
        sold.legend()
        _finish(sold)
        _save(figure, path)


def _finish(axes: Axes) -> None:
    axes.set_ylim(bottom=0)
    axes.grid(color=INK, alpha=0.25, linewidth=0.5)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})


def _seconds(tries: Sequence[Try], share: float) -> float:
    ordered = sorted(each.seconds for each in tries)
    return ordered[int(len(ordered) * share)] if ordered else float("nan")
