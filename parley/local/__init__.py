"""Parts of a service on one machine: an embedded Redis and free ports."""
