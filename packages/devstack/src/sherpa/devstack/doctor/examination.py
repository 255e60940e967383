"""The whole examination, for people and as JSON."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TextIO

from sherpa.devstack.doctor.checkout import examine_checkout
from sherpa.devstack.doctor.finding import Finding, Level, failure
from sherpa.devstack.doctor.machine import examine_machine
from sherpa.devstack.doctor.running import examine_running
from sherpa.devstack.errors import StackError

MARKS = {Level.OK: "ok", Level.NOTE: "·", Level.WARNING: "!", Level.FAILURE: "FAILED"}


def examine(root: Path, out: TextIO, *, as_json: bool) -> int:
    """Write every finding; return 1 when any of them is a failure, else 0."""
    findings = []
    for finding in _all(root):
        findings.append(finding)
        if not as_json:
            out.write(_line(finding))
            out.flush()
    failures = sum(finding.level is Level.FAILURE for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    if as_json:
        answer = {"well": not failures, "findings": [asdict(each) for each in findings]}
        out.write(json.dumps(answer, indent=2) + "\n")
    else:
        out.write(f"\n{failures} to mend, {warnings} worth mending.\n")
    return 1 if failures else 0


def _all(root: Path) -> Iterator[Finding]:
    try:
        yield from chain(examine_machine(root), examine_checkout(root), examine_running(root))
    except StackError as error:
        # What can't even be looked at is a finding, too.
        yield failure("stack", error.problem, error.remedy)
    except OSError as error:
        yield failure("stack", str(error), f'ls -ld "{error.filename or root}"')


def _line(finding: Finding) -> str:
    lines = f"{MARKS[finding.level]:>7}  {finding.subject}: {finding.text}".replace("\n", "\n           ")
    remedy = f"\n           → {finding.remedy}" if finding.remedy else ""
    return f"{lines}{remedy}\n"
