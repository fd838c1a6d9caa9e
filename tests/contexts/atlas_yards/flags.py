"""What can be switched while the services run."""

from atlas_flags.flag import Flag

REGISTRATION = Flag("yards.registration", True, "Whether new yards may register; those that there are go on")

FLAGS = (REGISTRATION,)
