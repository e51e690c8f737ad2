"""What a machine's root is made of: pure data, and the name that changes with it.

A root is a Debian 12 with what an EFA image has and can be had here: cloud-init, the AWS CLI, a libfabric under
/opt/amazon/efa as the EFA installer puts it, and a folder of wheels from which pip installs offline. There is no EFA,
no GPU, no driver.
"""

import hashlib
import json
import platform

SUITE = "bookworm"
PYTHON = "3.11"  # of that suite
PACKAGES = (
    "ca-certificates",
    "cloud-init",
    "dbus",
    "gcc",
    "ibverbs-providers",
    "iproute2",
    "iputils-ping",
    "libhwloc15",
    "libibverbs1",
    "librdmacm1",
    "numactl",
    "openssh-server",
    "procps",
    "python3-venv",
    "rsync",
    "systemd-container",
    "systemd-sysv",
)
# Taken apart, not installed: its libfabric (1.17) would hide the newer one.
TOOLS_PACKAGE = "libfabric-bin"
# What install-nixl may want, and a wheel that holds a libfabric as new as images have (2.5.1, symbols FABRIC_1.9).
WHEELS = ("nixl==1.5.0", "nixl-cu13==1.5.0", "numpy==2.2.6", "nvidia-cuda-runtime==13.0.96")
LIBFABRIC_WHEEL = "mpich==5.0.2"
LIBFABRIC_IN_WHEEL = "/lib/mpich/libfabric.so.1"
WHEEL_FOLDER = "/opt/wheels"
# The AWS CLI's first major version, which the release notes of the deep-learning images list; and what it needs.
AWS_CLI_WHEELS = (
    "awscli==1.46.3",
    "PyYAML==6.0.3",
    "colorama==0.4.6",
    "docutils==0.19",
    "jmespath==1.0.1",
    "pyasn1==0.6.1",
    "python-dateutil==2.9.0.post0",
    "rsa==4.7.2",
    "six==1.17.0",
    "urllib3==2.6.3",
)
AWS_CLI_FOLDER = "/opt/aws-cli"
AWS_CLI = f"""\
set -e
python3 -m venv {AWS_CLI_FOLDER}
{AWS_CLI_FOLDER}/bin/pip install --quiet --no-deps --find-links {AWS_CLI_FOLDER}/wheels {AWS_CLI_FOLDER}/wheels/*
rm -r {AWS_CLI_FOLDER}/wheels
ln -s {AWS_CLI_FOLDER}/bin/aws /usr/local/bin/aws
"""
# Where an instance finds its metadata (EC2 user guide, instancedata-data-retrieval). A machine has no other way out, so
# the endpoints of AWS's services are there, too.
METADATA_ADDRESS = "169.254.169.254"
EFA_FOLDER = "/opt/amazon/efa"

# NVIDIA's driver brings libcuda, and NIXL's plugins link against it: each function that they name answers 100, "no
# device".
CUDA_FOLDER = "/opt/nvidia-stub"
CUDA_STUB = f"""\
set -e
mkdir -p {CUDA_FOLDER} /tmp/wheels
cd /tmp/wheels
python3 -m zipfile -e {WHEEL_FOLDER}/nixl_cu*.whl .
{{ find . -name '*.so*' -exec nm -D --undefined-only {{}} + || true; }} 2>/dev/null |
  grep -o ' cu[A-Z][A-Za-z0-9_]*' | grep -v cuFile | sort -u | sed 's/.*/int&(void) {{ return 100; }}/' |
  gcc -shared -fPIC -nostdlib -Wl,-soname,libcuda.so.1 -o {CUDA_FOLDER}/libcuda.so.1 -x c -
rm -r /tmp/wheels
ldconfig
"""

# The modules that user data of a pair needs; Debian's list has one that hangs without a locale.
_CLOUD_CFG = """\
users: []
disable_root: false
preserve_hostname: true
datasource_list: [NoCloud]
network: {config: disabled}
cloud_init_modules: [seed_random, bootcmd, write-files]
cloud_config_modules: [runcmd]
cloud_final_modules: [write-files-deferred, scripts-per-once, scripts-per-boot, scripts-per-instance, scripts-user,
  final-message]
system_info:
  distro: debian
  paths: {cloud_dir: /var/lib/cloud/, templates_dir: /etc/cloud/templates/}
"""

ROOT_HOME = "/root"

FILES = {
    "/etc/cloud/cloud.cfg": _CLOUD_CFG,
    "/etc/ld.so.conf.d/000_efa.conf": f"{EFA_FOLDER}/lib\n",
    "/etc/ld.so.conf.d/nvidia-stub.conf": f"{CUDA_FOLDER}\n",
    "/etc/machine-id": "",
    f"{ROOT_HOME}/.aws/config": f"[default]\nendpoint_url = http://{METADATA_ADDRESS}\n",
    "/etc/pip.conf": f"[global]\nno-index = true\nfind-links = {WHEEL_FOLDER}\n",
    # Each machine has host keys of its own, as cloud-init makes them on an instance.
    "/etc/systemd/system/ssh.service.d/10-machine.conf": (
        "[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\n"
    ),
    # A service that hangs is dead after 10 s, not 90.
    "/etc/systemd/system.conf.d/10-machine.conf": "[Manager]\nDefaultTimeoutStopSec=10\n",
}
# Services that a container has no use for, each some hundred milliseconds of every boot.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
)
# What Debian makes while it is installed, and a machine for itself.
REMOVED = "/etc/ssh/ssh_host_*"
ENABLED = ("systemd-networkd.service", "systemd-networkd-wait-online.service")


def name() -> str:
    """The root's name in the cache: another recipe has another one."""
    values = {key: value for key, value in globals().items() if key.isupper() or key == "_CLOUD_CFG"}
    parts = json.dumps({**values, "machine": platform.machine()}, sort_keys=True, default=str)
    return f"root-{hashlib.sha256(parts.encode()).hexdigest()[:12]}"
