"""`python -m nixl_efa` is the command line `nixl-efa`."""

import sys

from nixl_efa.cli import main

sys.exit(main())
