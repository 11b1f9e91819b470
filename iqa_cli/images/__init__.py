"""A file becomes an upright sRGB picture, and that crops; nothing here knows a model."""
