"""Documents against the code: links lead somewhere, constants and defaults are those of the code.

A constant in a document is followed by a mark, invisible to readers, that names its source and, if need be,
the divisor that makes the unit: ``10 s<!-- = faust_redis.redis.commands:SOCKET_TIMEOUT -->``,
``7 days<!-- = faust_redis:Options.dead_letter_age / 86400 -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from pipeline.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    path
    for folder in (ROOT, ROOT / "docs", ROOT / "deploy", ROOT / "packages" / "faust-redis")
    for path in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
    if ".pytest_cache" not in path.parts
)
MARK = re.compile(r"([\d.,]+)(?:\s*[A-Za-z%]+)?<!-- = (\S+?):(\S+)(?: / (\d+))? -->")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def marks(path: Path) -> Iterator[tuple[float, float, str]]:
    """Return the numbers that a document marks, the code's, and where these stand."""
    text = path.read_text(encoding="utf-8")
    assert len(MARK.findall(text)) == text.count("<!-- ="), "a mark that does not follow a number"
    for shown, module, attribute, divisor in MARK.findall(text):
        value: Any = reduce(getattr, attribute.split("."), import_module(module))
        yield float(shown.replace(",", "")), value / int(divisor or 1), f"{module}:{attribute}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_the_constants_in_a_document_are_those_of_the_code(path: Path) -> None:
    for shown, value, source in marks(path):
        assert shown == value, source


def test_marks_are_in_use() -> None:
    assert sum(len(list(marks(path))) for path in DOCUMENTS) >= 10


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_the_links_of_a_document_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(CODE.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        assert page.exists(), target
        if anchor:
            assert anchor in anchors(page), target


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def variables(field: str, info: FieldInfo) -> list[str]:
    """Return the environment variables of a setting."""
    alias = info.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [str(alias)] if alias else [field.upper()]


def settings_table() -> dict[str, str]:
    """Return the default that README shows for each variable."""
    section = (
        (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Settings\n")[2].partition("\n## ")[0]
    )
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \| (.*?) ?\| .* \|$", section, re.MULTILINE)
    return {variable: default for names, default in rows for variable in re.findall(r"`(\w+)`", names)}


TABLE = settings_table()
#: Variables in the table that the HTTP client reads, not the settings.
OF_THE_SYSTEM = {"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}


def test_every_setting_stands_in_the_readme_and_no_other() -> None:
    known = {variable for field, info in Settings.model_fields.items() for variable in variables(field, info)}
    mentioned = set(re.findall(r"`([A-Z][A-Z_]+)`", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert known <= mentioned
    assert TABLE.keys() <= known | OF_THE_SYSTEM


@pytest.mark.parametrize("field", Settings.model_fields)
def test_a_default_in_the_readme_is_that_of_the_code(field: str) -> None:
    info = Settings.model_fields[field]
    (shown, *_) = [TABLE[variable] for variable in variables(field, info) if variable in TABLE]
    default = info.get_default()
    if isinstance(default, bool):
        assert shown == str(default).lower()
    elif isinstance(default, int | float) and default:
        assert re.search(rf"(?<!\d){default:.15g}(?!\d)", shown.replace(",", "")), shown
    elif isinstance(default, str) and field not in ("redis_url", "model_kind"):
        assert default in shown
