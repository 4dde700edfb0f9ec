"""Statistics of Ray's use: pure-ray sends none."""
