"""The first process in the namespaces of a run, which end with it: `python holder.py`, started by run.py.

It ends when its standard input ends, so also when the local AWS was killed. As the first process of its namespace, its
end also ends every machine, with their mounts and networks.
"""

import signal
import subprocess
import sys


def main() -> None:
    """Say "ready" once the network is, then wait for the end of the input."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # nspawn keeps its locks below /run, where the host's own systemd would see them.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="utf-8") as file:
        file.write("1")
    # From here on, the kernel reaps the children of machines that ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
