"""`make bench`: every figure that the project claims, in one run on this machine."""

import platform

from rich.console import Console

from benchmarks import (
    capacity_search,
    check,
    cli_startup,
    libraries,
    local_aws,
    many_nodes,
    real_nodes,
    synthesis,
    verify,
)

if __name__ == "__main__":
    console = Console()
    console.print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    synthesis.run(console)
    libraries.run(console)
    many_nodes.run(console)
    cli_startup.run(console)
    capacity_search.run(console)
    check.run(console)
    verify.run(console)
    local_aws.run(console)
    real_nodes.run(console)
