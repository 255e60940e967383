"""What operators ask and do: status, dead letters, replay, tail, retention, groups; no command line."""
