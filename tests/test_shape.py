"""Functions and modules stay small enough to be read in one go."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (
    "packages/faust-redis/src",
    "packages/faust-redis/examples",
    "agents",
    "bench",
    "parley",
    "pipeline",
    "web",
)
#: Lines of a function, its signature and docstring included.
LONGEST = 60
#: Lines of a module: one that is longer holds more than one idea.
LONGEST_MODULE = 400
#: Ways through a function: ruff counts fewer, as it leaves out conditions within an expression.
MOST_COMPLEX = 15

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(room: str) -> Iterator[tuple[str, Function]]:
    for path in sorted((ROOT / room).rglob("*.py")):
        if "node_modules" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, Function):
                    yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def test_fixtures_live_in_conftest() -> None:
    suites = (ROOT / "tests", ROOT / "packages/faust-redis/tests")
    modules = [path for suite in suites for path in suite.rglob("test_*.py")]
    fixtures = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, Function)
        and any(ast.unparse(each).partition("(")[0].endswith(".fixture") for each in node.decorator_list)
    ]

    assert len(modules) > 100
    assert fixtures == []


def complexity(function: Function) -> int:
    """Return one more than the number of decisions, those within expressions included."""
    decisions = 0
    for node in ast.walk(function):
        match node:
            case ast.If() | ast.For() | ast.AsyncFor() | ast.While() | ast.ExceptHandler() | ast.IfExp():
                decisions += 1
            case ast.Assert() | ast.match_case():
                decisions += 1
            case ast.BoolOp(values=values):
                decisions += len(values) - 1
            case ast.comprehension(ifs=conditions):
                decisions += 1 + len(conditions)
    return 1 + decisions


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_is_too_long_for_one_idea(room: str) -> None:
    modules = (path for path in (ROOT / room).rglob("*.py") if "node_modules" not in path.parts)
    lengths = {str(path.relative_to(ROOT)): path.read_text("utf-8").count("\n") for path in modules}

    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_no_function_is_longer_than_a_screen(room: str) -> None:
    lengths = {name: (node.end_lineno or node.lineno) - node.lineno + 1 for name, node in functions(room)}

    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_no_function_has_more_ways_through_it_than_one_can_follow(room: str) -> None:
    complexities = {name: complexity(node) for name, node in functions(room)}

    assert {name: ways for name, ways in complexities.items() if ways > MOST_COMPLEX} == {}
