"""The demo: load the flights of 2013 and some users through the mesh, watch it, and prove what it did."""
