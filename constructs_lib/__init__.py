"""The constructs that make up the node pair.

Import this package before `cdktf`: jsii then loads only the modules of the AWS bindings that are used (see
fast_bindings).
"""

import os

from constructs_lib import fast_bindings

fast_bindings.install(os.environ)
