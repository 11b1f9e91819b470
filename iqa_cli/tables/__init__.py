"""Scores as the tables that builders of data sets use: Parquet, Hugging Face's imagefolder, side files of shards."""
