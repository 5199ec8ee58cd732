"""Finished pictures: the gallery, how long they are kept, drawing them again, sheets."""
