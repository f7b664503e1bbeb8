"""From scores to weights λ: one method a file."""
