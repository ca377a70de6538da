# SPDX-License-Identifier: Apache-2.0
"""Fixtures. A test gets a vhost, a folder and a store of its own on a broker that its pytest process shares, so tests
are independent and can run in parallel (pytest -n)."""
import glob
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

# pylint: disable=wrong-import-position
from lib.broker import Broker  # noqa: E402
from lib.couch import Couch  # noqa: E402
from lib.dice import new_dice  # noqa: E402
from lib.postgres import Postgres  # noqa: E402
from lib.site import BIN, Site, in_use, is_sanitized  # noqa: E402


# Files that take minutes: begun last, one of them would keep a single worker busy while the others are done.
LONG = ["test_offline.py", "test_quickstart.py", "test_health.py", "test_tls.py", "test_units.py", "test_fake_store.py",
        "test_jobs_fresh.py", "test_clear_failure.py", "test_schedule.py", "test_bench.py", "test_pg_collectors.py"]


# The library of 2010 cannot connect to RabbitMQ 4, which hangs up on its first bytes and whose first table it cannot read.
RABBITMQ = sorted(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*"))
HAS_2010 = not any(re.search("server-([4-9]|[1-9][0-9])", path) for path in RABBITMQ)
collect_ignore = [] if HAS_2010 else ["test_amqplib2010.py"]

# What is told of stores, promises and faults: run-tests runs it on every store each time.
EACH_STORE = ["test_clear_failure.py", "test_durability.py", "test_fake_store.py", "test_health.py", "test_jobs_chaos.py",
              "test_promises.py", "test_two_collectors.py"]
# No program under test but the scripts around them, which take a build or six brokers.
RARE = ["test_build.py", "test_quickstart.py"]


def store_marks(item):
    """couch, pg: it runs on that; repeated: and on SQLite, too."""
    params = item.callspec.params.values() if hasattr(item, "callspec") else []
    for store in ("couch", "pg"):
        if store in params:
            return [store, "repeated"]
        if {store, f"{store}_site", f"own_{store}_site"} & set(item.fixturenames):
            return [store]
    return []


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(items):
    for item in items:
        name = item.path.name
        marks = store_marks(item)
        marks += [mark for mark, files in (("each_store", EACH_STORE), ("rare", RARE), ("promise", ["test_promises.py"]))
                  if name in files]
        for mark in marks:
            item.add_marker(mark)
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def pytest_terminal_summary(terminalreporter):
    """On what they ran, and what tests measured, whether they ran here or in a worker of pytest-xdist."""
    database = os.environ.get("VOGELER_TEST_COUCHDB")
    terminalreporter.write_line(f"programs: {BIN}")
    terminalreporter.write_line("couch:// ran on: " + ("the CouchDB that VOGELER_TEST_COUCHDB names" if database
                                                       else "the stand-in, pouchdb-server"))
    terminalreporter.write_line("pg:// ran on: " + ("the PostgreSQL that VOGELER_TEST_PG names" if os.environ.get("VOGELER_TEST_PG")
                                                    else "a private PostgreSQL"))
    if not HAS_2010:
        terminalreporter.write_line("not run here, but on Debian 12: what clients with amqplib do, which RabbitMQ 4 does not take")
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "figure":
                terminalreporter.write_line(value)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.failed = outcome.get_result().failed


@pytest.fixture(scope="session", name="node")
def node_fixture(tmp_path_factory):
    """The node itself, which a test may have stopped or killed."""
    broker = Broker(tmp_path_factory.mktemp("rabbitmq"))
    try:
        yield broker.start_first()
    finally:
        broker.finish()


@pytest.fixture
def broker(node):
    if not node.running:
        node.start()
    return node


@pytest.fixture(scope="session")
def couch(tmp_path_factory):
    server = Couch(tmp_path_factory.mktemp("couch"))
    try:
        yield server.start()
    finally:
        server.finish()


def open_site(request, broker, folder, store=None):
    site = Site(broker, broker.new_vhost(), folder, store)
    yield from in_use(request, site)
    broker.over.append(site.vhost)


@pytest.fixture
def sqlite_site(request, broker, tmp_path):
    yield from open_site(request, broker, tmp_path)


@pytest.fixture
def couch_site(request, broker, couch, tmp_path):
    """On couch://."""
    store = couch.new_database()
    store.create()
    for site in open_site(request, broker, tmp_path, store):
        site.database = store
        yield site
    store.drop()


@pytest.fixture(scope="session", name="postgres")
def postgres_fixture(tmp_path_factory):
    """The server itself, which a test may have stopped or killed."""
    server = Postgres(tmp_path_factory.mktemp("pg"))
    try:
        yield server.start_first()
    finally:
        server.finish()


@pytest.fixture
def pg(postgres):
    if not postgres.running:
        postgres.start()
    return postgres


def open_pg_site(request, broker, server, folder):
    store = server.new_database()
    store.create()
    for site in open_site(request, broker, folder, store):
        site.database = store
        site.admin("setup", qhost=True)
        yield site
    if server.running:
        store.drop()


@pytest.fixture
def pg_site(request, broker, pg, tmp_path):
    """On pg://."""
    yield from open_pg_site(request, broker, pg, tmp_path)


@pytest.fixture
def own_pg_site(request, broker, tmp_path, tmp_path_factory):
    """On a PostgreSQL of its own, to do things to that others would notice."""
    server = Postgres(tmp_path_factory.mktemp("pg"))
    server.given = None
    try:
        yield from open_pg_site(request, broker, server.start_first(), tmp_path)
    finally:
        server.finish()


@pytest.fixture
def site(request):
    """On sqlite://, unless the test has the mark lib.site.all_stores."""
    return request.getfixturevalue(getattr(request, "param", "sqlite") + "_site")


@pytest.fixture(params=["sqlite", "couch", "pg"])
def any_site(request):
    """The same test on each store."""
    return request.getfixturevalue(request.param + "_site")


@pytest.fixture
def dice():
    return new_dice()


@pytest.fixture(scope="session")
def sanitized():
    return is_sanitized()


@pytest.fixture(name="own_site")
def own_site_fixture(request, tmp_path_factory, tmp_path):
    """On a broker of its own, to do things to that others would notice."""
    broker = Broker(tmp_path_factory.mktemp("rabbitmq"))
    try:
        broker.start()
        yield from in_use(request, Site(broker, broker.new_vhost(), tmp_path))
    finally:
        broker.finish()
