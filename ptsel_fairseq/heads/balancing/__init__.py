"""Rules that rescale the pretext losses during training, on top of λ."""
