"""The constructs that the node pair is made of.

Importing this package before `cdktf` lets jsii load only what is used of the AWS bindings (see fast_bindings).
"""

import os

from constructs_lib import fast_bindings

fast_bindings.install(os.environ)
