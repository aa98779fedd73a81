"""Runs the scenarios, prints what they come to, and writes a report: python -m benchmarks --help."""

import argparse
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import machine, report
from benchmarks.bench import Bench
from benchmarks.databases import KEEPERS
from benchmarks.figures import Result
from benchmarks.load import Clients
from benchmarks.report import Done
from benchmarks.scenarios import SCENARIOS, Scenario

CONSOLE = Console() if sys.stdout.isatty() else Console(width=120)


def main() -> int:
    """Measure; the exit code is 1 if a scenario broke down. A target that is missed is a finding, not a failure."""
    options = _options()
    if not Path("/proc/self/stat").exists():
        sys.exit("The benchmarks read what servers cost from /proc, so they need Linux.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or servers would stay behind
    options.report.mkdir(parents=True, exist_ok=True)
    there = [name for name, scenario in SCENARIOS.items() if options.database in scenario.databases]
    names = options.scenario or [name for name in there if _runs_by_default(SCENARIOS[name], quick=options.quick)]
    facts: dict[str, str] = {}
    everything: list[Done] = []
    clients = Clients()
    try:
        for name in names:
            # Files lie in the report's folder, since /tmp is no disk on many machines.
            with tempfile.TemporaryDirectory(dir=options.report, prefix="databases-") as folder:
                databases = KEEPERS[options.database](Path(folder))
                try:
                    facts = facts or machine.describe(databases.folder, databases.version)
                    bench = Bench(databases, options.report, clients, options.quick)
                    everything.append(_measure(name, SCENARIOS[name], bench))
                finally:
                    databases.close()
            report.show(CONSOLE, everything[-1])
            report.write(options.report / "report.md", everything, facts, _command())
    finally:
        clients.close()
    if not options.scenario:
        _show_left_out([name for name in there if name not in names])
    CONSOLE.print(f"The report: {options.report / 'report.md'}")
    return int(any(isinstance(done.result, str) for done in everything))


def _runs_by_default(scenario: Scenario, *, quick: bool) -> bool:
    return (scenario.quick or not quick) and not scenario.missing_tools()


def _show_left_out(names: Sequence[str]) -> None:
    for name in names:
        missing = " and ".join(SCENARIOS[name].missing_tools())
        CONSOLE.print(f"Left out: {name}, " + (f"which needs {missing}" if missing else "which takes long"))


def _measure(name: str, scenario: Scenario, bench: Bench) -> Done:
    CONSOLE.print(f"{scenario.title} ...")
    start, (time_before, stolen_before) = time.monotonic(), machine.processor_time()
    result: Result | str
    try:
        result = scenario.run(bench)
    except Exception as error:  # noqa: BLE001 (the other scenarios can still be measured)
        traceback.print_exc()
        result = f"{type(error).__name__}: {_last_line(error)}"
    time_after, stolen_after = machine.processor_time()
    stolen = (stolen_after - stolen_before) / (time_after - time_before)
    return Done(name, scenario.title, result, time.monotonic() - start, stolen)


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[-1]


def _options() -> argparse.Namespace:
    listed = "\n".join(
        f"  {name:16} {scenario.title}{'' if scenario.quick else ' (not with --quick)'}"
        for name, scenario in SCENARIOS.items()
    )
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description="Measure real servers over real gRPC, side by side with yardsticks, and write a report.",
        epilog=f"scenarios:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer calls and rounds, and not the longest scenarios")
    parser.add_argument(
        "--scenario", action="append", metavar="NAME", choices=SCENARIOS, help="only this one; may be repeated"
    )
    parser.add_argument(
        "--database", choices=KEEPERS, help="what the data is kept in [the first one that all scenarios are for]"
    )
    parser.add_argument("--report", type=Path, help="where the report goes [bench-report, or bench-report/postgresql]")
    options = parser.parse_args()
    named = [SCENARIOS[name] for name in options.scenario or ()]
    for name in options.scenario or ():
        if missing := SCENARIOS[name].missing_tools():
            sys.exit(f"The scenario {name} needs what is not installed: {', '.join(missing)}.")
    options.database = options.database or next(
        (each for each in KEEPERS if all(each in scenario.databases for scenario in named)), "sqlite"
    )
    options.report = options.report or Path("bench-report", "" if options.database == "sqlite" else options.database)
    for name in options.scenario or ():
        if options.database not in SCENARIOS[name].databases:
            parser.error(f"{name} is for --database {' or '.join(SCENARIOS[name].databases)}")
    return options


def _command() -> str:
    return shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
