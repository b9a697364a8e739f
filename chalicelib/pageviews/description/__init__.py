"""What the page-view API says of itself: every endpoint in OpenAPI 2.0 (`/api.json`), and a page of it for people.

It is written once, as data: objects in `schemas`, endpoints in `operations`. Tests hold it to the endpoints that there
are, and the answers of requests that are made from it to what it says.
"""

from .document import Where, document
from .page import Page, page

__all__ = ["Page", "Where", "document", "page"]
