"""The questions: functions from a boto3 client to plain facts, one module for each subject. They only read.

boto3 and its types are imported only for the type checker; the clients are arguments.
"""
