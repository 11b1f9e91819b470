"""The method of QFM-IQM; it exists in training only."""
