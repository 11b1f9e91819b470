"""Filter a data set by scores that are there: which images stay, and lists, links and shards of them."""
