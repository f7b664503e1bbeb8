"""Estimate the cost of a recipe before training."""
