"""Corpora as their publishers ship them, read into one form: one small module for each."""
