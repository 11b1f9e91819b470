"""Evaluation of models: agreement with people's ratings, and robustness on clean photos."""
