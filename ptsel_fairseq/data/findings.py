"""What a check finds, and how it is shown."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

SHOWN_OF_EACH_KIND = 5


@dataclass(frozen=True)
class Finding:
    """One fault of the data; `fatal` if training would fail on it."""

    kind: str
    fatal: bool
    place: str
    message: str


def report(findings: list[Finding]) -> None:
    """Print the findings by kind, faults before warnings, the first few of each kind."""
    by_kind: dict[tuple[bool, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        by_kind[(not finding.fatal, finding.kind)].append(finding)
    for (warning, kind), found in sorted(by_kind.items()):
        print(f"{'warning' if warning else 'fault'}: {kind}: {len(found)}")
        for finding in found[:SHOWN_OF_EACH_KIND]:
            print(f"    {finding.place}: {finding.message}")
        if len(found) > SHOWN_OF_EACH_KIND:
            print(f"    ... and {len(found) - SHOWN_OF_EACH_KIND} more")
