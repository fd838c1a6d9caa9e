"""What is in a file of the archive: blocks, codecs, headers, the schema; reading one."""
