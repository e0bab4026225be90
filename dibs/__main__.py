"""`python -m dibs` is the command `dibs`."""

from dibs.cli.main import main

main()
