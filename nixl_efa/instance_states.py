"""The states of an EC2 instance, in the groups that matter here (EC2 user guide, ec2-instance-lifecycle)."""

# It runs or will run soon, and is billed.
RUNNING = ("pending", "running")
# It can be started again; no deployment does this.
STOPPED = ("stopping", "stopped")
# It can never be started again.
ENDED = ("shutting-down", "terminated")
