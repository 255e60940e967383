"""A database's schema beside the one that the tables declare, or that the migrations make."""
