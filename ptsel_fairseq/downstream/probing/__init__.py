"""Small classifiers and speaker verification on frozen features."""
