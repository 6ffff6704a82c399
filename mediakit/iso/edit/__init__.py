"""Changing an image: what is to change, the plan of it, and carrying the plan out."""
