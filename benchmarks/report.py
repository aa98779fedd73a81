"""What was measured, for people: tables on the terminal and a report in Markdown."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table as RichTable

from benchmarks.figures import Result, Table

EXPLANATION = (
    "A figure is the median of its rounds; the least and the largest stand behind it in parentheses. Ratios are taken "
    "within each round. `docs/performance.md` tells how everything is measured and what the yardsticks are."
)
VERDICTS = {True: "yes", False: "**no**", None: ""}


@dataclass(frozen=True, slots=True)
class Done:
    """A scenario that was run.

    Attributes:
        result: If it broke down, one line that says why.
        stolen: The share of the processors' time, from 0 to 1, that the host gave to others meanwhile.
    """

    name: str
    title: str
    result: Result | str
    seconds: float
    stolen: float

    @property
    def lasted(self) -> str:
        """How long it took, and how much was stolen."""
        return f"{self.seconds:.0f} s, {self.stolen:.0%} of the processors' time taken by others on the host"


def show(console: Console, done: Done) -> None:
    """Print what a scenario came to."""
    console.rule(f"{done.title} ({done.lasted})")
    if isinstance(done.result, str):
        console.print(f"[bold red]broke down:[/] {done.result}")
        return
    console.print(Markdown(done.result.method))
    for table in done.result.tables:
        console.print(_rich(table))
    console.print(_rich(_targets(done.result)))


def write(path: Path, everything: Sequence[Done], facts: Mapping[str, str], command: str) -> None:
    """Write the report."""
    seconds = sum(done.seconds for done in everything)
    parts = [
        "# What Cinema gRPC does, measured",
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {seconds / 60:.0f} minutes.",
        _markdown(Table(("what", "which"), list(facts.items()))),
        EXPLANATION,
        _markdown(_summary(everything)),
    ]
    for done in everything:
        parts.append(f"## {done.title}")
        parts.append(f"`python -m benchmarks --scenario {done.name}`, {done.lasted}.")
        if isinstance(done.result, str):
            parts.append(f"**Broke down:** {html.escape(done.result)}")
            continue
        parts.append(done.result.method)
        parts += [f"![{done.title}]({picture.name})" for picture in done.result.pictures]
        parts += [_markdown(table) for table in [*done.result.tables, _targets(done.result)]]
    path.write_text("\n\n".join(parts) + "\n")


def _summary(everything: Sequence[Done]) -> Table:
    rows: list[tuple[str, ...]] = []
    for done in everything:
        if isinstance(done.result, str):
            rows.append((done.title, "", "broke down", VERDICTS[False]))
            continue
        rows += [(done.title, each.aim, each.got, VERDICTS[each.met]) for each in done.result.targets]
    return Table(("scenario", "target", "result", "met"), rows)


def _targets(result: Result) -> Table:
    return Table(("target", "result", "met"), [(each.aim, each.got, VERDICTS[each.met]) for each in result.targets])


def _markdown(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rich(table: Table) -> RichTable:
    drawn = RichTable(*table.columns)
    for row in table.rows:
        drawn.add_row(*(cell.replace("*", "") for cell in row))
    return drawn
