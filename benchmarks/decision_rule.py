"""How often the decision rule fails an unchanged suite, what it catches, and what it costs, beside other rules.

    python benchmarks/decision_rule.py [--tables worlds rules ...] [--worlds TEXT ...] [--runs 2000] [--seed 0]
        [--nightlies PATH]

Every run draws a baseline of five launches and a candidate of a suite of six gates. What a launch scatters by is the
world's: see decision/worlds.py. An alarm is a suite of which a gate is REGRESSED though nothing changed; power the
share of runs in which the one gate that dropped is; "refused" are suites of which a gate is INCONCLUSIVE before any
launch, "inconcl." those of which one is after them. The rule is the package's own code (SuiteRule, PairedRule); the
others are written out in decision/others.py.

``--nightlies`` reads published nights (a CSV with the columns suite, gate, night, value) and resamples them."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package `benchmarks`, from any directory

from benchmarks.decision import curves, tables, weak
from benchmarks.decision.rules import fast
from benchmarks.decision.worlds import PUBLISHED, WORLDS, Nightlies

TABLES: dict[str, Callable[[tables.Options], None]] = {
    "worlds": tables.worlds,
    "rules": tables.rules,
    "goals": tables.goals,
    "screening": tables.screening,
    "printed": tables.printed,
    "remedies": tables.followed,
    "designs": tables.designs,
    "half-slow": weak.half_slow,
    "drift": weak.drift,
    "common": weak.common,
    "single": weak.single,
    "pooling": weak.pooling,
    "elasticity": curves.elasticity,
    "h200": curves.h200,
}


def error(share: float, runs: int) -> str:
    """Return two standard errors of a share."""
    return f"{100 * share:g}% +- {200 * math.sqrt(share * (1 - share) / runs):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tables", nargs="+", choices=TABLES, default=list(TABLES), metavar="TABLE", help=", ".join(TABLES)
    )
    parser.add_argument("--worlds", nargs="+", default=[""], metavar="TEXT", help="worlds whose name holds a TEXT")
    parser.add_argument("--runs", type=int, default=2000, help="runs of each line of the tables")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nightlies", type=Path, help="published nights to resample")
    options = parser.parse_args()
    nights = [] if options.nightlies is None else [Nightlies.read(options.nightlies)]
    worlds = [world for world in (*WORLDS, PUBLISHED, *nights) if any(text in world.name for text in options.worlds)]
    runs = options.runs
    print(f"6 gates, 5 baseline launches, tolerance 2.5%, {runs} runs of each line, seed {options.seed}; percent")
    print(f"two standard errors: {error(0.01, runs)}, {error(0.5, runs)}, {error(0.95, runs)}")
    if not nights:
        print("published nights: skipped, no --nightlies given")
    with fast():
        for name in options.tables:
            print(f"\n== {name}\n", flush=True)
            TABLES[name](tables.Options(runs, options.seed, worlds))


if __name__ == "__main__":
    main()
