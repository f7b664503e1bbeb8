"""Prepare and check the data that training reads."""
