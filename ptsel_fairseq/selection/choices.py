"""Names that commands offer and code looks up. Nothing is imported here, so that `--help` answers at once."""

SUMMARIES = ("mean", "mean_std", "downsample")  # of a label over a segment, see `points.summarise_label`
PROJECTIONS = ("sparsemax", "softmax", "entmax15")  # onto the simplex, see `weighting.simplex`
DEPENDENCES = ("cka", "mi")  # of labels on each other, see `weighting.dependence`
ALL_METHODS = "all-methods"  # compares every way to λ
