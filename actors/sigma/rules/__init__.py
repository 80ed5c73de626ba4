"""What files of rules hold: read, refused, cached, filtered, and put together as what is in force."""
