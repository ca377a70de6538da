"""Fixtures. A test gets a vhost, a folder and a store of its own on a broker that its pytest process shares, so tests
are independent and can run in parallel (pytest -n)."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

# pylint: disable=wrong-import-position
from lib.broker import Broker  # noqa: E402
from lib.couch import Couch  # noqa: E402
from lib.dice import new_dice  # noqa: E402
from lib.site import BIN, Site, is_sanitized  # noqa: E402


# Files that take minutes: begun last, one of them would keep a single worker busy while the others are done.
LONG = ["test_offline.py", "test_quickstart.py", "test_health.py", "test_tls.py", "test_units.py", "test_fake_store.py",
        "test_jobs_fresh.py", "test_clear_failure.py", "test_schedule.py", "test_bench.py"]


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def pytest_terminal_summary(terminalreporter):
    """On what they ran, and what tests measured, whether they ran here or in a worker of pytest-xdist."""
    database = os.environ.get("VOGELER_TEST_COUCHDB")
    terminalreporter.write_line(f"programs: {BIN}")
    terminalreporter.write_line("couch:// ran on: " + ("the CouchDB that VOGELER_TEST_COUCHDB names" if database
                                                       else "the stand-in, pouchdb-server"))
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
    request.node.failed = False
    yield site
    complaints = site.finish()
    if complaints or request.node.failed:
        print(site.report())
    assert not complaints, complaints
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


@pytest.fixture
def site(request):
    """On sqlite://, unless the test has the mark lib.site.both_stores."""
    return request.getfixturevalue(getattr(request, "param", "sqlite") + "_site")


@pytest.fixture(params=["sqlite", "couch"])
def any_site(request):
    """The same test on both stores."""
    return request.getfixturevalue(request.param + "_site")


@pytest.fixture
def dice():
    return new_dice()


@pytest.fixture(scope="session")
def sanitized():
    return is_sanitized()
