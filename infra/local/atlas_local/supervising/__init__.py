"""Parts that are started, watched and started again."""
