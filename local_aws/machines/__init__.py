"""Machines for the instances of the local AWS: Debian roots that boot with systemd and the real cloud-init.

Standard library only. `root.py` builds what they boot from, once; `run.py` holds what one local AWS creates
(namespaces, mounts, folders), so that all of it is removed with it; `machine.py` is one machine, `fleet.py` lets
machines follow instances.
"""
