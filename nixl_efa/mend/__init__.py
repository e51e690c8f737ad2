"""What an interrupted run leaves behind: the state and EC2 held against each other, and the steps that join them again.

`compare` and `parts` decide, `look` and `surroundings` ask, `run` shows and does the steps.
"""
