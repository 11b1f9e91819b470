"""Commands that run until they are stopped: `iqa serve`, `iqa watch`."""
