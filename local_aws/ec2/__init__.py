"""What the local EC2 adds to moto's: interfaces on cards, launch templates, reservations, Capacity Blocks."""
