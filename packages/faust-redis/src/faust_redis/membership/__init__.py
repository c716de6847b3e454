"""Membership of a consumer group: heartbeats, generations, assignments."""
