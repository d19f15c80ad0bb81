"""`python -m exemplar.cli`."""

from exemplar.cli import main

main()
