"""The history beside the files, before anything runs: where they contradict each other, what mends it."""
