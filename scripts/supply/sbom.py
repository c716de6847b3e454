"""Write the bill of materials of the shipped packages into ``dist/``, as CycloneDX.

* ``sbom.json``: the image's Python packages with hashes, and both distributions of this tree.
* ``sbom-page.json``: the packages built into the chat page, from its lock; left out where there is no npm.

No registry is queried, so both are the same on every machine.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
DIST: Final = ROOT / "dist"
LOCK: Final = ROOT / "requirements-run.lock"


def main() -> None:
    """Write both files, and print how many components each names."""
    DIST.mkdir(exist_ok=True)
    parts = {"sbom.json": python_packages()}
    if (npm := shutil.which("npm")) is not None:
        parts["sbom-page.json"] = page_packages(npm)
    for name, bill in parts.items():
        (DIST / name).write_text(json.dumps(bill, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        sys.stdout.write(f"dist/{name}: {len(bill['components'])} components\n")


def python_packages() -> dict[str, Any]:
    """Return the packages of the run-time lock, with ours."""
    tool = Path(sys.executable).with_name("cyclonedx-py")
    command = (
        *(str(tool), "requirements", str(LOCK), "--pyproject", str(ROOT / "pyproject.toml")),
        *("--mc-type", "application", "--output-reproducible", "--output-format", "JSON", "--validate"),
    )
    bill: dict[str, Any] = json.loads(_output(command))
    bill["components"].append(_ours(ROOT / "packages" / "faust-redis" / "pyproject.toml"))
    return bill


def page_packages(npm: str) -> dict[str, Any]:
    """Return the packages that the chat page is built from, without those that only build or test it."""
    command = (npm, "--prefix", str(ROOT / "web/ui"), "sbom", "--sbom-format", "cyclonedx")
    bill: dict[str, Any] = json.loads(_output((*command, "--omit", "dev", "--package-lock-only")))
    bill.pop("serialNumber", None)
    bill["metadata"].pop("timestamp", None)
    return bill


def _ours(pyproject: Path) -> dict[str, str]:
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    name, version = project["name"], project["version"]
    purl = f"pkg:pypi/{name}@{version}"
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def _output(command: tuple[str, ...]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return done.stdout


if __name__ == "__main__":
    main()
