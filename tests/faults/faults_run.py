"""Runs one fault by its name and prints what was seen as JSON: a process of its own, for faults that need mounts.

python tests/faults/faults_run.py "images' disk full" --seconds 3
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import faults_mount
from faults_cases import Case, case, verdict

APART_SECONDS_MAX = 170.0


def run(one: Case, seconds: float) -> tuple[str, list[str]]:
    """Return the line of figures and the problems of one case, run here or apart as it needs."""
    if not one.apart:
        seen = one.run(seconds)
        return seen.line(), verdict(one, seen)
    told = [str(Path(__file__)), one.name, "--seconds", str(seconds)]
    done = faults_mount.apart(told, seconds_max=APART_SECONDS_MAX + seconds)
    if not done.stdout:
        return "", [f"{one.name}: {done.stderr[-2000:]}"]
    said = json.loads(done.stdout.splitlines()[-1])
    return str(said["line"]), list(said["problems"])


def main() -> None:
    """Run here, whatever it needs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--seconds", type=float, default=3.0)
    told = parser.parse_args()
    one = case(told.name)
    seen = one.run(told.seconds)
    facts = {"line": seen.line(), "problems": verdict(one, seen), "found": asdict(seen.found)}
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
