"""The subcommands of ``catwalk``, a module a group; they do nothing but read options and show results."""
