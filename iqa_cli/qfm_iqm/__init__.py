"""The method of QFM-IQM; it exists in training only. README.md says what is the paper's and what is ours."""
