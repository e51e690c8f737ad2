"""Repair after an interrupted run: compares the state with EC2, and makes them agree again step by step.

`compare` and `parts` decide, `look` and `surroundings` read from AWS, `run` shows and does the steps.
"""
