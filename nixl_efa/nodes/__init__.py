"""After the launch: where the pair's nodes are, what state they are in, and whether they communicate over EFA."""
