"""The mesh on this machine, what it shows, and the first lines of one's own."""
