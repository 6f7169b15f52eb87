"""What would help this installation in the longer run, from what it did in the last weeks."""
