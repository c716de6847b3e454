"""Responses as servers and proxies put them on the wire, and the outcome that each must have."""

from __future__ import annotations

from tests.support.wire_cases.case import Case
from tests.support.wire_cases.choices import CHOICES
from tests.support.wire_cases.connections import WIRE
from tests.support.wire_cases.errors import ERRORS, LOADING
from tests.support.wire_cases.refusals import ROLES, SHAPES, TOO_LONG
from tests.support.wire_cases.streams import ENDS, FRAMES, SIGNS
from tests.support.wire_cases.thoughts import THOUGHTS
from tests.support.wire_cases.usages import USAGES

__all__ = ["CASES", "Case"]

CASES = [
    *CHOICES,
    *ENDS,
    *FRAMES,
    *SIGNS,
    *WIRE,
    *THOUGHTS,
    *USAGES,
    *ERRORS,
    *LOADING,
    *ROLES,
    *SHAPES,
    *TOO_LONG,
]
