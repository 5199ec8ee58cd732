"""OpenAI's surface: /v1/images and /v1/models."""
