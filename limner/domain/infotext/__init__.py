"""The text that AUTOMATIC1111 and its kin write into pictures, and people post: its "infotext"."""
