"""Measures the prompt check on a file of prompts: how many each rule flags, and what a check costs.

    python benchmarks/prompt_check.py PROMPTS [--show CODE]

PROMPTS is a text file with one prompt a line, or a TSV file with a column `Prompt` (PartiPrompts has that form).
"""

import argparse
import csv
import time
from collections import Counter
from pathlib import Path

from imagequeue.producer.promptcheck.check import check_prompt


def read_prompts(path: Path) -> list[str]:
    """Return the prompts of a file."""
    with path.open(encoding="utf-8", newline="") as lines:
        if path.suffix == ".tsv":
            return [row["Prompt"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
        return [line.strip() for line in lines if line.strip()]


def main() -> None:
    """Print the share of prompts that each rule flags."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--show", help="print the prompts that this rule flags")
    asked = parser.parse_args()
    prompts = read_prompts(asked.prompts)
    check_prompt("warm up")
    started = time.perf_counter()
    found = [check_prompt(prompt) for prompt in prompts]
    seconds = time.perf_counter() - started
    codes = Counter(code for findings in found for code in {finding.code for finding in findings})
    for prompt, findings in zip(prompts, found, strict=True):
        for finding in findings:
            if finding.code == asked.show:
                print(f"  {[span.text for span in finding.spans]}  <-  {prompt[:200]}")
    flagged = sum(any(finding.blocks for finding in findings) for findings in found)
    print(f"{len(prompts)} prompts, {seconds / len(prompts) * 1e6:.0f} us each")
    print(f"flagged: {sum(map(bool, found)) / len(prompts):.1%}; would be blocked: {flagged / len(prompts):.1%}")
    for code, count in codes.most_common():
        print(f"{code:20} {count:5}  {count / len(prompts):.2%}")


if __name__ == "__main__":
    main()
