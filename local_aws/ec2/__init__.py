"""What the local EC2 does beside moto's: interfaces on cards, launch templates, reservations, Capacity Blocks."""
