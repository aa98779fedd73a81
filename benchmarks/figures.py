"""What a measurement comes to: medians with their spread, tables, and targets that are met or not."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load import Sample


@dataclass(frozen=True, slots=True)
class Measured:
    """What one load came to on one server: a sample of each call, and what it and PostgreSQL spent meanwhile."""

    samples: Sequence[Sample]
    cpu_seconds: float
    memory_mib: float
    database_cpu_seconds: float = 0.0

    @property
    def calls_a_second(self) -> float:
        """Calls a second, from the first call to the last answer."""
        return len(self.samples) / seconds_in_all(self.samples)

    @property
    def cpu_microseconds(self) -> float:
        """The server's CPU time for each call."""
        return self.cpu_seconds / len(self.samples) * 1e6

    @property
    def database_cpu_microseconds(self) -> float:
        """The CPU time of the database's server for each call; 0 for a database within the server."""
        return self.database_cpu_seconds / len(self.samples) * 1e6

    def milliseconds(self, share: float) -> float:
        """The time within which a share of the calls is answered."""
        return milliseconds(self.samples, share)


def seconds_in_all(samples: Sequence[Sample]) -> float:
    """Tell how long it took from the first call to the last answer."""
    return max(each.start + each.seconds for each in samples) - min(each.start for each in samples)


def milliseconds(samples: Sequence[Sample], share: float) -> float:
    """Tell the time within which a share of the calls was answered."""
    ordered = sorted(each.seconds for each in samples)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3


def usual_milliseconds(samples: Sequence[Sample], share: float) -> float:
    """Tell the time within which a share of a second's calls was answered, in the middle one of all seconds.

    A machine that others use too stands still for some 50 ms now and then. One such moment makes up for more than a
    hundredth of the calls of several seconds, and would be all that their p99 says.
    """
    first = min(each.start for each in samples)
    seconds: dict[int, list[Sample]] = {}
    for each in samples:
        seconds.setdefault(int(each.start - first), []).append(each)
    largest = max(map(len, seconds.values()))
    whole = [calls for calls in seconds.values() if len(calls) > largest / 2]
    return statistics.median(milliseconds(calls, share) for calls in whole)


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure of each round: the median stands for them, the least and the largest are shown with it."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def text(self, form: str, unit: str = "") -> str:
        """Write it down, each number by a format specification such as ",.0f"."""
        least, most = f"{min(self.values):{form}}", f"{max(self.values):{form}}"
        spread = "" if least == most else f" ({least} to {most})"
        return f"{self.median:{form}}{unit}{spread}"


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Divide round by round, so that a machine that turns slower between two rounds changes nothing."""
    return Spread([a / b for a, b in zip(above, below, strict=True)])


@dataclass(frozen=True, slots=True)
class Target:
    """What was aimed at, what came out, and whether that is enough; None where it only is reported."""

    aim: str
    got: str
    met: bool | None


def at_most(what: str, limit: float, got: Spread, form: str = ".2f", unit: str = "") -> Target:
    """Hold a median against an upper limit."""
    return Target(f"{what}: at most {limit:{form}}{unit}", got.text(form, unit), got.median <= limit)


def at_least(what: str, limit: float, got: Spread, form: str = ".2f", unit: str = "") -> Target:
    """Hold a median against a lower limit."""
    return Target(f"{what}: at least {limit:{form}}{unit}", got.text(form, unit), got.median >= limit)


def none(what: str, got: int) -> Target:
    """Hold that something never happened."""
    return Target(f"{what}: none", f"{got:,}", got == 0)


def reported(what: str, got: str) -> Target:
    """Tell a figure that nothing hangs on."""
    return Target(what, got, None)


@dataclass(frozen=True, slots=True)
class Table:
    """Figures in rows; the first column says what a row is about."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Result:
    """What a scenario came to.

    Attributes:
        method: What was done, in whole sentences.
        pictures: SVG files in the report's folder.
    """

    method: str
    targets: Sequence[Target]
    tables: Sequence[Table]
    pictures: Sequence[Path] = field(default=())


def costs(rounds: Mapping[str, Sequence[Measured]], first_column: str = "server") -> Table:
    """Tabulate what loads in a closed loop came to."""

    def spread(measured: Sequence[Measured], figure: Callable[[Measured], float]) -> Spread:
        return Spread([figure(each) for each in measured])

    rows = [
        (
            name,
            spread(measured, lambda each: each.cpu_microseconds).text(",.0f", " µs"),
            spread(measured, lambda each: each.database_cpu_microseconds).text(",.0f", " µs"),
            spread(measured, lambda each: each.calls_a_second).text(",.0f"),
            spread(measured, lambda each: each.milliseconds(0.50)).text(",.1f", " ms"),
            spread(measured, lambda each: each.milliseconds(0.99)).text(",.1f", " ms"),
            spread(measured, lambda each: each.memory_mib).text(",.0f", " MiB"),
        )
        for name, measured in rounds.items()
    ]
    return Table((first_column, "CPU a call", "in PostgreSQL", "calls a second", "p50", "p99", "memory"), rows)


def latencies(rounds: Mapping[str, Sequence[Sequence[Sample]]], first_column: str = "server") -> Table:
    """Tabulate what loads at a fixed rate came to."""

    def offered(samples: Sequence[Sample]) -> float:
        starts = [each.start for each in samples]
        return (len(starts) - 1) / (max(starts) - min(starts))

    rows = [
        (
            name,
            Spread([offered(samples) for samples in measured]).text(",.0f"),
            Spread([milliseconds(samples, 0.50) for samples in measured]).text(",.1f", " ms"),
            Spread([milliseconds(samples, 0.99) for samples in measured]).text(",.1f", " ms"),
            Spread([usual_milliseconds(samples, 0.99) for samples in measured]).text(",.1f", " ms"),
            Spread([sum(each.code != 0 for each in samples) for samples in measured]).text(",.0f"),
        )
        for name, measured in rounds.items()
    ]
    return Table((first_column, "offered a second", "p50", "p99", "p99 of a second", "shed"), rows)
