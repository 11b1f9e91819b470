"""Images that lie in no folder: in tar and zip archives, WebDataset's shards among them."""
