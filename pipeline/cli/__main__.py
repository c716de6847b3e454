"""`python -m pipeline.cli` is `parley`."""

from pipeline.cli import main

main()
