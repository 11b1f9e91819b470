"""iqa score --html: records become one page that opens offline, with a small picture of each photo."""
