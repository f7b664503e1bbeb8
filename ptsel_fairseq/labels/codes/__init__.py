"""Labels whose track is a code of each frame: clusters, random codes, codes of a file."""
