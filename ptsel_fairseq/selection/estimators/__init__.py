"""Estimators of a label's score from speech vectors, label summaries and classes."""
