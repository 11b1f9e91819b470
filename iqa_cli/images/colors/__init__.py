"""What the samples of a picture mean, and how they become sRGB of 8 bits."""
