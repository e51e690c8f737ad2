"""Deploying one environment: the plan is read as data, shown in words, and agreed to; then exactly it is applied."""
