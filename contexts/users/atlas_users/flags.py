"""What can be switched while the services run."""

from atlas_flags.flag import Flag

REGISTRATION = Flag("users.registration", True, "Whether new users may register; those that there are go on")

FLAGS = (REGISTRATION,)
