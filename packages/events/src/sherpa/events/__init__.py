"""Events: business code writes them with its change, and every handler's effect happens exactly once."""
