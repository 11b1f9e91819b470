"""Images that lie in no folder here: in tars and zips, and by URL in buckets, hubs and on web servers."""
