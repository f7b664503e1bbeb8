"""Pretext heads, their losses and balancing rules: torch modules."""
