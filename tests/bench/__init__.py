"""What sign-on, launches and hostile messages cost: `make bench`. Nothing here passes or fails."""
