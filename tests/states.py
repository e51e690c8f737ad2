"""Resources as they stand in Terraform's state, as far as the product reads them."""

from typing import Any


def node(name: str, instance_id: str, **attributes: Any) -> dict[str, Any]:
    """The instance of a node."""
    instances = [{"attributes": {"id": instance_id, **attributes}}]
    return {"mode": "managed", "type": "aws_instance", "name": name, "instances": instances}


def nodes(**ids: str) -> list[dict[str, Any]]:
    """The instances of nodes, by their names."""
    return [node(name, instance_id) for name, instance_id in ids.items()]
