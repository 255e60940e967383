"""What chaos needs: servers to hurt, connections to cut, a stream of known events, and a judge at the end."""
