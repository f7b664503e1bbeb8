"""Compute labels from waveforms."""
