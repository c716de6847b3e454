"""Look up the locked packages in the registries' lists of known vulnerabilities: pip-audit and npm audit.

Ends with status 1 when a package has one, and lists it. A list that can't be reached is reported and passed
over, so that this can run without a network; with ``CI`` set it fails as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
#: Locks of packages that are shipped, or that build and check what is shipped.
LOCKS: Final = (
    "requirements-run.lock",
    "requirements-build.lock",
    "requirements.lock",
    "scripts/supply/requirements.lock",
)
#: Seconds for one list.
PATIENCE: Final = 300


class Finding(NamedTuple):
    """The result for one lock.

    Attributes:
        vulnerable: one line for each known vulnerability; None when the list could not be read.
        reason: the reason for that, one line.
    """

    vulnerable: list[str] | None
    reason: str = ""


def main() -> int:
    """Check each lock, print the results and return the status to end with."""
    findings = {lock: python_finding(lock) for lock in LOCKS}
    findings["web/ui/package-lock.json"] = page_finding()
    for lock, finding in findings.items():
        if finding.vulnerable is None:
            sys.stdout.write(f"{lock}: not checked, {finding.reason}\n")
        else:
            lines = "".join(f"  {line}\n" for line in finding.vulnerable)
            sys.stdout.write(f"{lock}: {len(finding.vulnerable)} known vulnerabilities\n{lines}")
    unread = any(finding.vulnerable is None for finding in findings.values())
    return int(any(finding.vulnerable for finding in findings.values()) or (unread and "CI" in os.environ))


def python_finding(lock: str) -> Finding:
    """Ask for the packages of one lock; the packages themselves are not fetched."""
    tool = Path(sys.executable).with_name("pip-audit")
    done = _run(str(tool), "--disable-pip", "--require-hashes", "--requirement", lock, "--format", "json")
    report = _document(done.stdout)
    if "dependencies" not in report:
        return Finding(None, _last_line(done.stderr))
    # A mirror without the list answers that it has none of the packages.
    if skipped := [each["name"] for each in report["dependencies"] if "skip_reason" in each]:
        return Finding(None, f"the list lacks {len(skipped)} of {len(report['dependencies'])} packages")
    return Finding(
        [
            f"{package['name']} {package['version']}: {each['id']}, fixed in {each['fix_versions']}"
            for package in report["dependencies"]
            for each in package.get("vulns", ())
        ]
    )


def page_finding() -> Finding:
    """Ask for the packages that the chat page is built from."""
    if (npm := shutil.which("npm")) is None:
        return Finding(None, "there is no npm")
    done = _run(npm, "--prefix", "web/ui", "audit", "--json", "--omit", "dev", "--package-lock-only")
    report = _document(done.stdout)
    if "vulnerabilities" not in report:
        return Finding(None, str(report.get("message") or report.get("error") or _last_line(done.stderr)))
    return Finding([f"{name}: {each['severity']}" for name, each in report["vulnerabilities"].items()])


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {PATIENCE} s")


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1][:200]


if __name__ == "__main__":
    sys.exit(main())
