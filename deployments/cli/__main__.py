"""`python -m deployments.cli` is `shixiang`."""

from deployments.cli import main

main()
