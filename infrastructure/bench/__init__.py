"""Measures what Countless costs, and compares it with its budgets: `python -m infrastructure.bench`.

Requests are counted and priced by AWS's published rules. Nothing here trusts the time that a simulated AWS takes.
"""
