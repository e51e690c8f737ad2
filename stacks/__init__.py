"""One Terraform stack for each environment."""
