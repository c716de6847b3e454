"""What Faust promises for tables, in short, on its own path.

`make conformance` runs all of conformance on either path.
"""

from __future__ import annotations

from tests.conformance.test_tables import (
    test_a_table_counts_by_key,
    test_windows_count_by_the_time_of_the_stream,
)

__all__ = ["test_a_table_counts_by_key", "test_windows_count_by_the_time_of_the_stream"]

#: Of the programs that the fixtures start.
FAST_PATH = "false"
