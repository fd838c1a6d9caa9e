"""The relay's side: whose rows they are, claimed, sent and deleted."""
