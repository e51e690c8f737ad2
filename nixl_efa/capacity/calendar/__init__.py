"""The calendar: what can be bought, what is owned, who uses it, and when it ends, on one time line."""
