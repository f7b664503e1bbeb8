"""Rules that rescale the pretext losses during training, on top of λ: one class each.

With L_k the loss of label k in the last update and K labels, the docstring of a rule gives its weight w_k; "rescaled"
says that the weights are then scaled to sum to K.
"""

from ptsel_fairseq.heads.balancing.gradient import gradient_products, min_norm
from ptsel_fairseq.heads.balancing.rule import (
    NONE,
    RULES,
    Balancing,
    Option,
    build_balancing,
    check_balancing,
    from_json,
    register_rule,
    to_json,
)

__all__ = [
    "NONE",
    "RULES",
    "Balancing",
    "Option",
    "build_balancing",
    "check_balancing",
    "from_json",
    "gradient_products",
    "min_norm",
    "register_rule",
    "to_json",
]
