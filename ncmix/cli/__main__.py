"""`python -m ncmix.cli` is `ncmix`."""

from ncmix.cli.main import main

main(prog_name="ncmix")
