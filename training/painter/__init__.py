"""A painter of RPG pixel art: `training.painter.picture.paint` turns a scene into a sprite."""
