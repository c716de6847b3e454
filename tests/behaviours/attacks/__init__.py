"""Attacks of one client while another talks: `make attacks` runs them in full, the suite in short."""
