"""Serving a model on the nodes: prefill on the producers, decode on the consumers, a router in front of them."""
