"""Names in the documents exist: files, modules, commands with their options, targets, metrics, variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path, PurePosixPath

import click
import pytest

from parley.cli import cli
from tests.test_documents import DOCUMENTS, ROOT, name

#: Documents that describe a former state are not compared with today's names.
CURRENT = [
    path
    for path in DOCUMENTS
    if path.name != "CHANGELOG.md" and path.parent.name not in ("decisions", "recorded")
]
BLOCK = re.compile(r"```.*?```", re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
SOURCE = {
    ".py",
    ".ts",
    ".tsx",
    ".css",
    ".lua",
    ".md",
    ".yml",
    ".yaml",
    ".toml",
    ".lock",
    ".in",
    ".sh",
    ".conf",
}
GENERATED = {".git", ".venv", ".venv-bench", ".venv-oracle", ".venv-supply", "node_modules", "__pycache__"}
METRIC = re.compile(r"\b(?:parley|messaging|gen_ai|faust|http_server)_[a-z_]+\b")
#: Suffixes that Prometheus adds to the name of a metric.
SUFFIX = re.compile(r"_(?:total|bucket|sum|count)$")


@cache
def files() -> frozenset[str]:
    """Return the files of the repository, relative to its root, without generated folders."""
    found = set()
    for folder in ROOT.iterdir():
        if folder.name in GENERATED:
            continue
        for path in [folder] if folder.is_file() else folder.rglob("*"):
            if not GENERATED.intersection(path.parts):
                found.add(path.relative_to(ROOT).as_posix())
    return frozenset(found)


@cache
def code() -> str:
    """Return the text of everything that is not a document."""
    texts = []
    for each in sorted(files()):
        path = ROOT / each
        kept = path.suffix in SOURCE | {""} and path.suffix != ".md" and path != Path(__file__)
        if kept and path.is_file() and path.stat().st_size < 1_000_000 and "static" not in path.parts:
            texts.append(path.read_text(encoding="utf-8", errors="replace"))
    return "\n".join(texts)


def spans(path: Path) -> Iterator[str]:
    """Yield the inline code of a document."""
    yield from INLINE.findall(BLOCK.sub("", path.read_text(encoding="utf-8")))


def calls(path: Path, program: str) -> Iterator[str]:
    """Yield the arguments of each call of a program, in blocks and in inline code."""
    text = path.read_text(encoding="utf-8")
    for snippet in [*BLOCK.findall(text), *INLINE.findall(BLOCK.sub("", text))]:
        for line in snippet.splitlines():
            yield from re.findall(rf"(?:^|[\s/`]){program} ([^#|`]*)", line.partition("  #")[0])


@pytest.mark.parametrize("path", CURRENT, ids=name)
def test_a_file_that_a_document_names_exists(path: Path) -> None:
    for span in spans(path):
        if not re.fullmatch(r"\w[\w.@-]*(?:/[\w.@-]+)+/?|\w[\w-]*\.(?:py|ts|tsx|lua)", span):
            continue
        if PurePosixPath(span).suffix in SOURCE or span.endswith("/"):
            wanted = span.rstrip("/")
            if not wanted.startswith((".parley", "dist")):
                assert any(f"/{each}".endswith(f"/{wanted}") for each in files()), span


@pytest.mark.parametrize("path", CURRENT, ids=name)
def test_a_module_or_attribute_that_a_document_names_exists(path: Path) -> None:
    for span in spans(path):
        if (
            re.fullmatch(r"(?:faust_redis|pipeline|web|agents|bench)(?:\.\w+)+(?:\(\))?", span)
            and PurePosixPath(span).suffix not in SOURCE
        ):
            module, *rest = span.removesuffix("()").split(".")
            found = import_module(module)
            for part in rest:
                module = f"{module}.{part}"
                found = getattr(found, part) if hasattr(found, part) else import_module(module)


@pytest.mark.parametrize("path", CURRENT, ids=name)
def test_a_command_and_its_options_in_a_document_exist(path: Path) -> None:
    for arguments in calls(path, "parley"):
        words = arguments.split()
        command: click.Command = cli
        while words and isinstance(command, click.Group) and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        if command is cli and not (words and words[0].startswith("-")):
            continue  # a folder or a sentence, no call
        known = {each for option in command.params for each in option.opts} | {"--help", "-h", "--version"}
        for word in words:
            if word.startswith("-"):
                assert word.rstrip(")").partition("=")[0] in known, f"parley {arguments}"


def test_load_testing_mentions_every_option_of_parley_load() -> None:
    text = (ROOT / "docs" / "load-testing.md").read_text(encoding="utf-8")
    load = cli.commands["load"]
    assert isinstance(load, click.Group)
    commands = (load, *load.commands.values())
    options = {
        each
        for command in commands
        for option in command.params
        if isinstance(option, click.Option)
        for each in option.opts
    }
    assert {each for each in options if each not in text} == set()
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text)) <= options


@pytest.mark.parametrize("path", CURRENT, ids=name)
def test_a_make_target_in_a_document_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for arguments in calls(path, "make"):
        for word in arguments.split()[:1]:
            if re.fullmatch(r"[a-z-]+", word):
                assert word in targets, f"make {arguments}"


@pytest.mark.parametrize("path", CURRENT, ids=name)
def test_a_metric_that_a_document_names_is_in_the_code(path: Path) -> None:
    for span in spans(path):
        for metric in METRIC.findall(span):
            # Labels are attributes with dots in the code; some names are joined from a prefix and a unit.
            names = {SUFFIX.sub("", metric), re.sub(r"^gen_ai_client_|_seconds$", "", metric)}
            assert any(each in code().replace(".", "_") for each in names), metric


@pytest.mark.parametrize("path", CURRENT, ids=name)
def test_a_variable_that_a_document_names_is_in_the_code(path: Path) -> None:
    for variable in set(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", " ".join(spans(path)))):
        assert variable.lower() in code().lower(), variable


def test_the_log_lines_to_alert_on_are_in_the_code() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = text.partition("\n## Logs\n")[2].partition("\n## ")[0]
    lines = [
        line for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE) for line in INLINE.findall(row)
    ]

    assert len(lines) >= 9
    for line in lines:
        for fragment in re.split(r"…|\d+", line):
            assert fragment.strip() in code(), line
