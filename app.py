"""The whole service: every route and every function that an event sets off."""

from chalice.app import Chalice

from chalicelib import web
from chalicelib.functions import append, export, fold, redact, remove, reports, schedules, walks
from chalicelib.pageviews import routes as pageviews
from chalicelib.statistics import routes as statistics

app = web.prepare(Chalice(app_name="countless", configure_logs=False))

app.register_blueprint(pageviews.blueprint)
app.register_blueprint(statistics.blueprint)
app.register_blueprint(append.blueprint)
app.register_blueprint(fold.blueprint)
app.register_blueprint(remove.blueprint)
app.register_blueprint(export.blueprint)
app.register_blueprint(redact.blueprint)
app.register_blueprint(reports.blueprint)
app.register_blueprint(schedules.blueprint)
app.register_blueprint(walks.blueprint)
web.catch_all(
    app, [web.Unknown("/api(/.*)?", pageviews.api, pageviews.LIMITS), *pageviews.assets.UNKNOWN, *statistics.UNKNOWN]
)
