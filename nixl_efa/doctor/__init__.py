"""What this machine and its account have for the commands, and lack: also where no environment is right yet."""
