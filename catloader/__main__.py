"""``python -m catloader``: the command line."""

from catloader.cli import main

main(prog_name="catloader")
