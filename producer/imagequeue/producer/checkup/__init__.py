"""What `doctor` looks at: one module per subject, each finding with what to do about it."""
