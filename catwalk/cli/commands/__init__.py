"""The subcommands of ``catwalk``, one module per group. They only read options and show results."""
