"""Pictures from requests: `batching` decides, `sampling` computes, `checkpoints` reads files."""
