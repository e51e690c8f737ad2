"""What an environment costs: a Capacity Block, On-Demand and Spot side by side, what runs, and what was billed.

`gather` and `billed` ask AWS; everything else is pure.
"""
