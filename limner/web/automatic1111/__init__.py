"""AUTOMATIC1111's surface: /sdapi/v1."""
