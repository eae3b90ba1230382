"""``python -m catwalk_exporter`` serves the run ledger."""

import sys

from catwalk_exporter.service import main

sys.exit(main())
