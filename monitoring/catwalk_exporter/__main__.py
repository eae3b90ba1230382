"""``python -m catwalk_exporter`` serves the run ledger."""

import sys

from catwalk import extras

with extras.required("exporter"):
    from catwalk_exporter.service import main

sys.exit(main())
