"""Every record of a topic in object storage. From below: `store`, then `format` and `chain`, then the others."""
