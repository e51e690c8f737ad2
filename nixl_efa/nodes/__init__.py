"""After the launch: where the pair's nodes are, what they are like, and whether they talk over EFA."""
