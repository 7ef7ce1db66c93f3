"""`python -m icefront`."""

from icefront.cli import main

main()
