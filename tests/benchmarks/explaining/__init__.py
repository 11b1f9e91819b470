"""What is measured of reasons and maps."""
