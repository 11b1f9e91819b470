"""Past one machine: scoring in parts, by this process or by Ray Data, each part a Parquet file; a run that died goes on."""
