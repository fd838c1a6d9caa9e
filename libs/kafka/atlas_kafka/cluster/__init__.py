"""What is asked of a cluster: topics, their ids and their partitions, groups, open transactions."""
