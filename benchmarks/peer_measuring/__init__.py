"""What `make bench NAME=peers` needs to measure programs from outside, all in the same way."""
