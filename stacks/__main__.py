"""The cdktf app of any other project: `"app": "python -m stacks"` in its cdktf.json, beside its environments/."""

import gc
import os
import sys
from pathlib import Path

from stacks.run import main

if __name__ == "__main__":
    gc.disable()  # a run needs its objects until it ends: collecting would only take time
    sys.exit(main(Path.cwd(), os.environ, sys.stdout, sys.stderr, "python -m stacks", sys.argv[1:]))
