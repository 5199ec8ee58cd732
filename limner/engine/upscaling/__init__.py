"""Upscalers: networks that make pictures larger, read from the library's files and run in tiles."""
