"""Capacity and cost before a single call is made: what a volume needs, what it costs, what would fit. Pure, exact."""
