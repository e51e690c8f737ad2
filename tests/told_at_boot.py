"""What the nodes of a pair are told at their first boot, for tests of what they do with it."""

from nixl_efa.bootstrap import Bootstrap, PeerNode

# The producer of a pair of p5.48xlarge: `replace` makes another one of it.
P5 = Bootstrap(
    environment="prod",
    node="producer",
    nodes=(
        PeerNode(name="producer", role="producer", address="10.0.0.11"),
        PeerNode(name="consumer", role="consumer", address="10.0.0.12"),
    ),
    region="us-east-1",
    instance_type="p5.48xlarge",
    efa_interfaces=32,
    accelerators=8,
    accelerator_kind="nvidia",
    install_nixl=True,
    nixl_version="1.5.0",
    scripts_bucket="nixl-efa-prod-scripts",
)
