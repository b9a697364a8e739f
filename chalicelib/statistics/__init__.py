"""The surface for custom statistics: Ossit's protocol, `/v1/api`."""
