"""Work on the nodes of a running pair: commands, logs, files, ports, ssh. Through Systems Manager; no port is open."""

# The longest that Run Command lets a command run (Systems Manager, AWS-RunShellScript's executionTimeout).
MOST_SECONDS = 172_800
