"""What this machine and its account have or lack for the commands; works also if no environment is valid yet."""
