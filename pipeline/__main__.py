"""`python -m pipeline` is `plumbline`."""

import sys

from pipeline.cli.main import main

sys.exit(main())
