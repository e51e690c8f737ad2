"""Work on the nodes of a running pair: commands, logs, files, ports, ssh. Through Systems Manager; no port is open."""
