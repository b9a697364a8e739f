"""The client library of Countless and the `countless` command."""
