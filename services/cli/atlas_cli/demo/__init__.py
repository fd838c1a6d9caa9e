"""The demo: load through the mesh what contexts have to show, watch it, and prove what it did."""
