"""The cdktf app of a checkout: a stack for each environment in environments/ beside it.

It is run by the cdktf CLI (`cdktf synth`, `cdktf deploy nixl-efa-prod`) or alone (`python main.py`). After a wrong
setting it ends with exit code 2, before anything is written.
"""

import gc
import os
import sys
from pathlib import Path

from stacks.run import main

if __name__ == "__main__":
    gc.disable()  # a run needs its objects until it ends: collecting would only take time
    sys.exit(
        main(Path(__file__).resolve().parent, os.environ, sys.stdout, sys.stderr, arguments=sys.argv[1:])
    )
