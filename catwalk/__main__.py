"""``python -m catwalk`` is the catwalk command."""

from catwalk.cli.main import main

main()
