"""The service on one machine: a gateway, AWS simulated or elsewhere, and a pump for queues and schedules."""
