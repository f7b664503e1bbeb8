"""Names of rankings that know nothing of the task's training part; what a score has to beat."""

STATIC = ("dimension", "log_std", "other_tasks", "random")
