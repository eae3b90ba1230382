"""The ``catwalk`` command, also as ``python -m catwalk``."""

from __future__ import annotations

from catwalk import extras


def main() -> None:
    """Entry point; see :func:`catwalk.cli.main.main`."""
    with extras.required("cli"):
        from catwalk.cli.main import main
    main()


if __name__ == "__main__":
    main()
