"""Records onto topics, with a result for each; dead letters among them."""
