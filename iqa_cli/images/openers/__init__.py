"""How a picture of each format is opened: by Pillow, or by the libraries of the [formats] extra, imported when first needed."""
