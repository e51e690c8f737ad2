"""Capacity Blocks and Capacity Reservations: find, buy exactly once, extend, hand over.

Every module takes its AWS clients, its clock and its directories as arguments, so that a program, the command
line and the tests use the same functions. Nothing here imports boto3 or botocore.
"""
