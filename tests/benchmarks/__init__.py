"""Measurements of models on photos without opinions: minutes, not seconds, and figures instead of a verdict.

Run from the root of a checkout, as `python -m tests.benchmarks.damage --help`; pytest does not collect them. They import each
other relatively, because the tests, whose folder is no package, know this one as `benchmarks`.
"""
