"""Measurements that are compared within one run."""
