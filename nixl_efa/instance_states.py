"""The states of an EC2 instance, in the groups that matter here (EC2 user guide, ec2-instance-lifecycle)."""

# It runs, or is about to, and is billed.
RUNNING = ("pending", "running")
# It can be started again; no deployment does.
STOPPED = ("stopping", "stopped")
# It never comes back.
ENDED = ("shutting-down", "terminated")
