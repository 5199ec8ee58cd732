"""The files of models: what a file is, whether it fits, loading and importing it."""
