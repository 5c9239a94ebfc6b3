"""python -m plugin.cli: the `assay` command where its script is not on the path."""

from plugin.cli.main import run

run()
