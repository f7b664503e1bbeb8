"""Scores and weights as text, pictures and a report."""
