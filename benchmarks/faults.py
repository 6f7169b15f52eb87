"""Breaks every part in turn, and then many of them with kills in one run; prints the table of docs/reliability.md.

    python benchmarks/faults.py [--seconds 10] [--only TEXT] [--seed 1] [--provider-seconds 30]
    python benchmarks/faults.py --minutes 2 [--kinds KIND ...] [--rate 1.5] [--at-once 9]

The second holds every fault of the provider for minutes while jobs come all the while, some side by side: it takes
twenty minutes and less than a core.
Nothing may be lost or settled twice, no call may be made while blind, and the ledger must equal the simulated
provider's bill to the nano-dollar; otherwise it says what is wrong and exits with 1.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "faults"))

from faults_cases import CASES
from faults_combined import CombinedPlan, combined
from faults_minutes import Held, groups_of, hold
from faults_provider import KINDS, provider_faults
from faults_run import run
from harness import machine

PROVIDER_JOBS = 60
FAULTS = 50
KILLS = 20


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--provider-seconds", type=float, default=30.0)
    options.add_argument("--only", default="")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--minutes", type=float, default=0.0)
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="KIND")
    options.add_argument("--rate", type=float, default=1.5)
    options.add_argument("--at-once", type=int, default=9)
    chosen = options.parse_args()
    print(f"faults ({machine()})", flush=True)
    if chosen.minutes:
        return held(chosen.kinds, chosen.minutes * 60, chosen.rate, chosen.at_once)
    wrong = parts(chosen.seconds, chosen.only)
    if chosen.only in ("", "provider"):
        wrong += provider(chosen.provider_seconds)
    if chosen.only in ("", "combined"):
        wrong += mixed(chosen.seed)
    for problem in wrong:
        print(f"  WRONG: {problem}")
    return 1 if wrong else 0


def held(kinds: Sequence[str], seconds: float, rate: float, at_once: int) -> int:
    """Hold each kind of the provider's faults for so long, print a line each and the table, return the exit status."""
    seen: list[Held] = []
    for one in hold(groups_of(kinds, at_once), seconds=seconds, rate=rate, at_once=at_once):
        seen.append(one)
        print(f"  {one.line()}", *(f"  WRONG: {problem}" for problem in one.problems[:9]), sep="\n", flush=True)
    print("\n".join(one.row() for one in sorted(seen, key=lambda one: one.kind)))
    return 1 if any(one.problems for one in seen) else 0


def parts(seconds: float, only: str) -> list[str]:
    """Return what is wrong after each part was broken for so long."""
    wrong: list[str] = []
    for case in CASES:
        if only not in case.name:
            continue
        if why := case.needs():
            print(f"  {case.name}: skipped, {why}", flush=True)
            continue
        line, problems = run(case, seconds)
        print(f"  {line}", flush=True)
        wrong += [f"{case.name}: {problem}" for problem in problems]
    return wrong


def provider(seconds: float) -> list[str]:
    """Return what is wrong after each kind of answer was met by every call for so long."""
    wrong: list[str] = []
    for seen in provider_faults(KINDS, jobs=PROVIDER_JOBS, seconds=seconds):
        print(f"  {seen.line()}", flush=True)
        wrong += [f"{seen.fault}: {problem}" for problem in seen.problems]
    return wrong


def mixed(seed: int) -> list[str]:
    """Return what is wrong after many faults and kills in one run, on each database."""
    wrong: list[str] = []
    for ledger in ("sqlite", "postgresql"):
        report = combined(CombinedPlan(faults=FAULTS, kills=KILLS, seed=seed, ledger=ledger))
        print(f"  {report.line()}", flush=True)
        wrong += [f"combined on {ledger}: {problem}" for problem in report.problems]
    return wrong


if __name__ == "__main__":
    sys.exit(main())
