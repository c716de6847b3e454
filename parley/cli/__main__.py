"""``python -m parley.cli`` is ``parley``."""

from parley.cli import main

main()
