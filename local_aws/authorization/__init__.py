"""What a caller may do: a policy that a test or a user sets, judged as IAM does."""
