"""`python -m proxy` is the command `sidestep`."""

import sys

from proxy.cli import main

sys.exit(main())
