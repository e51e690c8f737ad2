"""Run by the Python of .tools/engines: an engine reads its own files, and says what it has read and what it minds.

read_by_engine.py pcluster|dstack FILE: a JSON document on stdout. AWS is asked by ParallelCluster's validators.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


def of_pcluster(document: dict[str, Any]) -> dict[str, Any]:
    """Its schema refuses what it does not know. Then all validators of the queues, and those of the cluster that look
    at a reservation or an interface; the others ask for ParallelCluster's images."""
    from pcluster.schemas.cluster_schema import ClusterSchema  # type: ignore[import-not-found]

    cluster = ClusterSchema(cluster_name="nixl-efa").load(document)
    failures = [one for queue in cluster.scheduling.queues for one in queue.validate()]
    failures += [one for each in _of_reservations(cluster) for one in each]
    return {
        "read": [
            {
                "queue": queue.name,
                "market": queue.capacity_type.value,
                "type": nodes.instance_type,
                "count": [nodes.min_count, nodes.max_count],
                "efa": nodes.efa.enabled,
                "reservation": getattr(nodes.capacity_reservation_target, "capacity_reservation_id", None),
                "subnets": queue.networking.subnet_ids,
                "volume": queue.compute_settings.local_storage.root_volume.size,
            }
            for queue in cluster.scheduling.queues
            for nodes in queue.compute_resources
        ],
        "failures": [one.message for one in failures],
    }


def _of_reservations(cluster: Any) -> Iterator[list[Any]]:
    from pcluster.validators import cluster_validators, ec2_validators  # type: ignore[import-not-found]

    taken: dict[str, int] = {}
    for queue in cluster.scheduling.queues:
        for nodes in queue.compute_resources:
            group = queue.get_placement_group_settings_for_compute_resource(nodes)["key"]
            yield ec2_validators.PlacementGroupCapacityTypeValidator().execute(
                queue.capacity_type, bool(group)
            )
            if (target := nodes.capacity_reservation_target) is None:
                continue
            name, subnet = target.capacity_reservation_id, queue.networking.subnet_ids[0]
            taken[name] = taken.get(name, 0) + nodes.max_count
            yield ec2_validators.CapacityReservationValidator().execute(
                name, nodes.instance_types, nodes.is_flexible(), subnet, queue.capacity_type, cluster.image.os
            )
    for name, count in taken.items():
        yield ec2_validators.CapacityReservationSizeValidator().execute(name, count)
    yield cluster_validators.MultiNetworkInterfacesInstancesValidator().execute(cluster.scheduling.queues)


def of_dstack(document: dict[str, Any]) -> dict[str, Any]:
    """As `dstack apply` reads it, and as its server looks at the name."""
    from dstack._internal.core.models.configurations import (  # type: ignore[import-not-found]
        parse_apply_configuration,
    )
    from dstack._internal.core.services import (  # type: ignore[import-not-found]
        is_valid_dstack_resource_name,
    )

    fleet = parse_apply_configuration(document)
    return {
        "read": [json.loads(fleet.model_dump_json(exclude_unset=True))],
        "failures": [] if is_valid_dstack_resource_name(fleet.name) else [fleet.name],
    }


if __name__ == "__main__":
    engine, file = sys.argv[1:]
    read = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    sys.stdout.write(json.dumps({"pcluster": of_pcluster, "dstack": of_dstack}[engine](read)))
