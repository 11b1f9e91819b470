"""Measurements for releases, which take minutes or hours: README.md beside this file says what each prints.

Run from the root of a checkout, as `python -m tests.benchmarks.speed --help`; pytest does not collect them. They import each
other relatively, because the tests, whose folder is no package, know this one as `benchmarks`.
"""
