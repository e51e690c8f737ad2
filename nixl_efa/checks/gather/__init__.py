"""The questions: each a function from a boto3 client to plain facts, a module for each subject. They read only.

boto3 and its types are imported for the type checker alone; the clients are handed in.
"""
