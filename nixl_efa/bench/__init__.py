"""Measurements of a service: a table of rows, each run by the engine's own load tool on a node."""
