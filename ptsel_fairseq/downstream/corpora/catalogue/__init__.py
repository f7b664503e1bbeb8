"""The corpora that are known: one file each, whose `CORPUS` says how it is found, read, checked and downloaded."""
