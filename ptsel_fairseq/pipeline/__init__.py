"""`ptsel run`: the road from recordings to λ, and on to a trained model, written down in one file."""
