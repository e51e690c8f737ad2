"""Deploying one environment: the plan is read as data, said in words and agreed before that very plan is applied."""
