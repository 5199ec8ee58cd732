"""Adapters: LoRA and its kin, read from files, and added row by row to what a model computes."""
