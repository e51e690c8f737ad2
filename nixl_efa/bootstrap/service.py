"""What a node gets so that it starts its engine when it boots (`start_at_boot` of the setting `service`).

Of a service only the engines start so: no router runs before `nixl-efa serve start` has proven them.
"""

import shlex
from pathlib import Path

from nixl_efa import service as scripts
from nixl_efa.bootstrap.model import Bootstrap
from nixl_efa.bootstrap.packaged import packaged
from nixl_efa.service import staged
from nixl_efa.service.engine import hub, unit_of
from nixl_efa.service.engines import ENGINES
from nixl_efa.service.model import BOOT_UNIT, ENGINE_UNIT, Service
from nixl_efa.service.router import packages
from nixl_efa.service.units import boot_unit
from nixl_efa.settings.parts import CONSUMER

# Stand in the engine's unit for what start-service.sh finds out: the folder below which a node keeps models; where the
# model is, from where it is copied, and its manifest's name.
PLACE, PATH, SOURCE, MANIFEST_NAME = "@PLACE@", "@PATH@", "@SOURCE@", "@MANIFEST@"


def service_files(bootstrap: Bootstrap, service: Service) -> tuple[tuple[str, str, str], ...]:
    """Path, permissions and content of each file."""
    engine, role = ENGINES[service.engine], bootstrap.own.role
    unit = unit_of(
        engine,
        service,
        bootstrap.environment,
        role,
        path=PATH,
        hub=hub(PLACE),
        planned="",  # the unit names the variable
        source=SOURCE,
        manifest=MANIFEST_NAME,
    )
    in_s3 = service.model.startswith("s3://")
    model = {
        "path": service.path(PLACE),
        "source": service.model if in_s3 else "",
        "staged": "" if service.model.startswith("/") else staged.folder(service.model),
        "manifest": staged.MANIFEST,
        "packages": staged.packages_folder(packages(engine, service, has_router=True)),
    }
    # The first node of a role has the role's name.
    wanted = packages(engine, service, has_router=bootstrap.node == CONSUMER)
    folder = Path(scripts.__file__).parent
    return (
        ("/etc/nixl-efa/boot/service.json", "0644", service.text),
        (f"/etc/nixl-efa/boot/{ENGINE_UNIT}", "0644", unit),
        (
            "/etc/nixl-efa/boot/model",
            "0644",
            "".join(f"{name}={shlex.quote(value)}\n" for name, value in model.items()),
        ),
        (f"/etc/systemd/system/{BOOT_UNIT}", "0644", boot_unit(bootstrap.environment, wanted)),
        *(
            (f"/opt/nixl-efa/bin/{name}", "0755", packaged(folder / f"{name}.sh"))
            for name in ("install-engine", "start-unit", "start-service")
        ),
    )
