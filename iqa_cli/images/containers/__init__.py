"""What the containers of pictures say beside the pixels, and how broken ones are mended."""
