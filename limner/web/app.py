"""The application, built from its arguments: what surrounds the routes of all surfaces.

From outside in: CORS, the log and the counters, errors as JSON, what the account of a refused key
holds, authentication (route, key, scope), the rate of free calls, room for a long body, the router.
"""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware

from limner import __version__
from limner.settings import Settings
from limner.web.access.auth import Authentication
from limner.web.access.bodies import Bodies, LongBodies
from limner.web.access.free import FreeCalls
from limner.web.answers import EXPOSED_HEADERS, Errors
from limner.web.application import Application
from limner.web.automatic1111 import routes as automatic1111
from limner.web.drawing import Api
from limner.web.native import (
    admin,
    drawing,
    gallery,
    library,
    models,
    moving,
    overview,
    preprocess,
    prompts,
    replay,
    requests,
    upscale,
)
from limner.web.native import routes as native
from limner.web.observing import metrics
from limner.web.observing.calls import CallLog, Meters
from limner.web.openai import routes as openai
from limner.web.pages import docs, page
from limner.web.reading import mixing
from limner.web.segmind import routes as segmind
from limner.web.segmind import v2
from limner.web.services import Services
from limner.web.standings import Standings

DESCRIPTION = (
    "A self-hosted image server for RPG V4 and every other Stable Diffusion 1.5 checkpoint. "
    "Send your key as x-api-key, or as a bearer token."
)
# What has routes. OpenAI's paths come before the vendor's slugs.
ROOMS = (
    openai,
    segmind,
    native,
    drawing,
    prompts,
    preprocess,
    upscale,
    models,
    automatic1111,
    v2,
    requests,
    moving,
    library,
    gallery,
    replay,
    page,
    admin,
    overview,
)


def create_app(settings: Settings, services: Services) -> Application:
    """The ASGI application. It opens nothing: ``services`` are running, or starting."""
    info = {"title": "Limner", "description": DESCRIPTION, "version": __version__}
    app = Application(info=info, url=settings.public_url)
    mixing.catalogue(settings)  # a style that cannot be read stops the start
    api = Api(settings, services)
    app.state.streams = api.streams
    app.state.decoder, app.state.budget = services.decoder, services.budget
    for room in ROOMS:
        room.install(app, api)
    docs.install(app)
    meters = Meters()
    metrics.install(app, api, meters)
    _surround(app, settings, services, meters)
    return app


def _surround(app: Application, settings: Settings, services: Services, meters: Meters) -> None:
    """Add the layers round the router; the last one added is the outermost."""
    bodies = app.state.bodies = Bodies(settings.bodies_max_mib << 20)
    app.add_middleware(
        LongBodies, bodies=bodies, most=settings.body_max_bytes, admit=services.generate.admit
    )
    app.add_middleware(FreeCalls, most=settings.key_max_free_calls_per_minute)
    app.add_middleware(
        Authentication, router=app.router, settings=settings, accounts=services.accounts
    )
    app.add_middleware(Standings, accounts=services.accounts)
    app.add_middleware(Errors)
    app.add_middleware(CallLog, meters=meters)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["*"],
        allow_headers=["*"],
        # A page on the internet may ask a server in its reader's network; it needs a key there too.
        allow_private_network=True,
        expose_headers=EXPOSED_HEADERS,
        max_age=86400,
    )
