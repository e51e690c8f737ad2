"""What an interrupted run leaves behind: the state compared with EC2, and the steps that join them again.

`compare` and `parts` decide, `look` and `surroundings` ask, `run` shows and does the steps.
"""
