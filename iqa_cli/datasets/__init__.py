"""The public sets of rated images, and ratings of one's own."""
