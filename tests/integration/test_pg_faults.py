# SPDX-License-Identifier: Apache-2.0
"""What happens to a PostgreSQL server: the collector says so in one sentence with the cure, acknowledges nothing that is
not committed, and goes on by itself when it is over."""
import json
import os
import re
import shutil
import signal
import subprocess

import pika
import pytest

from lib.certs import Authority
from lib.http import Monitor
from lib.names import NameServer, SilentAddress
from lib.postgres import SCRIPT, Postgres
from lib.process import Process, clean_environment
from lib.relay import Relay
from lib.waiting import wait_until

HOSTS = [f"host{n:03}" for n in range(60)]


class Answers:
    """What hosts say, one value after the other; the last that was published of each is what has to be stored."""

    def __init__(self, site):
        self.site = site
        self.last = {}
        self.round = 0

    def publish(self, hosts=HOSTS, rounds=1):
        connection = self.site.broker.connect(self.site.vhost)
        channel = connection.channel()
        channel.confirm_delivery()
        for _ in range(rounds):
            self.round += 1
            for host in hosts:
                body = json.dumps({"syskey": host, "n": f"{host} {self.round} " + "x" * 500, "format": "raw"})
                channel.basic_publish("vogeler.master.in", "", body.encode(), pika.BasicProperties(delivery_mode=2))
                self.last[host] = self.round
        connection.close()

    def stored(self):
        done = self.site.run("vogeler-admin", "--dbhost", self.site.dbhost, "query", ".n", "--json")
        assert done.status == 0, done
        rows = [json.loads(line) for line in done.out.splitlines()]
        return {row["host"]: int(row["value"].split()[1]) for row in rows}

    def wait_stored(self):
        self.site.wait_drained("master.in")
        assert self.stored() == self.last


@pytest.fixture(name="site")
def site_fixture(own_pg_site):
    site = own_pg_site
    site.server = site.database.server
    site.monitor = Monitor("server")
    site.answers = Answers(site)
    return site


def collector(site, patience="1s", **kw):
    return site.collector(options=[site.monitor.option, f"server.store_patience={patience}"], level="INFO", **kw)


def user(site, name="cmdb", password="secret", more=""):
    """Who may do all to the tables, by password over TCP; the URI."""
    site.database.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' {more}")
    site.database.sql(f"GRANT ALL ON SCHEMA vogeler TO {name}; GRANT ALL ON ALL TABLES IN SCHEMA vogeler TO {name}; "
                      f"GRANT ALL ON ALL SEQUENCES IN SCHEMA vogeler TO {name}")
    return f"pg://{name}:{password}@127.0.0.1:{site.server.port}/{site.database.name}"


def wait_well(site):
    wait_until(site.monitor.is_well, "all is well")


def wait_down(site, words):
    wait_until(lambda: site.monitor.narrow(words), f"health says {words}")


def test_killed_with_a_batch_in_flight(site):
    process = collector(site)
    for _ in range(3):
        site.answers.publish(rounds=20)
        site.server.kill()
        wait_down(site, "cure: start PostgreSQL there, or correct host and port of the URI")
        site.server.start()
        wait_well(site)
    site.answers.wait_stored()
    assert process.log_contains("takes nothing, .*; cure: ")


def test_restarted(site):
    collector(site)
    for _ in range(3):
        site.answers.publish(rounds=10)
        site.server.stop()
        site.server.start()
    site.answers.wait_stored()
    wait_well(site)


def test_fewer_connections_than_are_wanted(site):
    """Those that there are do the work."""
    uri = user(site, more="CONNECTION LIMIT 1")
    collector(site, dbhost=uri)
    site.answers.publish(rounds=40)
    site.answers.wait_stored()
    wait_well(site)


def test_no_connection_left(site):
    uri = user(site, more="CONNECTION LIMIT 0")
    process = collector(site, dbhost=uri, ready=False)
    site.answers.publish()
    process.wait_log(r"cmdb@127.0.0.1:\d+/\w+: PostgreSQL says: too many connections .* \(SQLSTATE 53300\); cure: raise max_conn")
    assert "secret" not in process.log()
    site.database.sql("ALTER ROLE cmdb CONNECTION LIMIT 5")
    site.answers.wait_stored()


def test_password_changed(site):
    """It is read anew from its file at each login."""
    user(site)
    passwords = site.folder / "pgpass"
    passwords.write_text(f"127.0.0.1:{site.server.port}:*:cmdb:secret\n")
    passwords.chmod(0o600)
    site.env["PGPASSFILE"] = str(passwords)
    process = collector(site, dbhost=f"pg://cmdb@127.0.0.1:{site.server.port}/{site.database.name}")
    site.answers.publish()
    site.answers.wait_stored()
    site.database.sql("ALTER ROLE cmdb PASSWORD 'another'")
    site.database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'cmdb'")
    site.answers.publish()
    wait_down(site, "password authentication failed for user \"cmdb\" .*28P01")
    process.wait_log("cure: correct the password: in the URI, or better in the file that PGPASSFILE names")
    passwords.write_text(f"127.0.0.1:{site.server.port}:*:cmdb:another\n")
    site.answers.wait_stored()
    wait_well(site)
    assert "another" not in process.log().replace("another login", "")


def test_a_server_that_takes_no_writes(site):
    """As a replica after a failover, of which nobody has told the URI."""
    collector(site)
    site.answers.publish()
    site.answers.wait_stored()
    site.server.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    site.server.sql("SELECT pg_reload_conf()")
    site.answers.publish(rounds=3)
    wait_down(site, "cannot execute .* in a read-only transaction .*25006")
    site.server.sql("ALTER SYSTEM RESET default_transaction_read_only", writes=True)
    site.server.sql("SELECT pg_reload_conf()")
    site.answers.wait_stored()
    wait_well(site)


def standby_of(server, folder):
    """A replica that follows it, and takes the place of the first when it is promoted."""
    replica = Postgres(folder)
    (folder / "socket").mkdir()
    (folder / "data").mkdir()
    other = subprocess.run([SCRIPT, folder, "init"], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert other.returncode == 0, other.stdout
    replica.port = int((folder / "node.env").read_text().strip().partition("=")[2])
    settings = (folder / "data" / "postgresql.auto.conf").read_text()
    subprocess.run(["rm", "-rf", folder / "data"], check=True)
    copy = folder / "data"
    done = subprocess.run([SCRIPT, server.folder, "run", "pg_basebackup", "-D", copy, "-R", "-X", "stream", "-c", "fast"],
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    # Over the socket, as the system's user that it runs as.
    (copy / "postgresql.auto.conf").write_text(
        settings + f"primary_conninfo = 'host={server.folder}/socket port={server.port}'\n")
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "postgres:", copy], check=True)
    return replica.start()


def test_failover(site, tmp_path_factory):
    """The URI has both servers; who is not the first one any more is found by asking."""
    user(site)
    # Its socket is for who is the server's user: the replica runs as that.
    me = "postgres" if os.getuid() == 0 else None
    if me:
        site.server.sql(f"CREATE ROLE {me} LOGIN REPLICATION")
    replica = standby_of(site.server, tmp_path_factory.mktemp("pg"))
    try:
        both = f"pg://cmdb:secret@127.0.0.1:{replica.port},127.0.0.1:{site.server.port}/{site.database.name}"
        collector(site, dbhost=both)
        site.answers.publish(rounds=5)
        site.answers.wait_stored()
        wait_until(lambda: replica.sql("SELECT count(*) FROM vogeler.fresh", site.database.name) == str(len(HOSTS)),
                   "the replica has it")
        site.server.kill()
        site.answers.publish(rounds=5)
        wait_down(site, "it is a replica, or takes no writes for now")
        replica.sql("SELECT pg_promote()")
        site.dbhost = replica.uri(site.database.name)
        site.answers.wait_stored()
        wait_well(site)
    finally:
        replica.finish()


def test_a_lock_of_a_change_of_tables(site):
    """What has to wait waits, and nothing is given back or lost."""
    process = collector(site)
    site.answers.publish()
    site.answers.wait_stored()
    lock = subprocess.Popen([SCRIPT, site.server.folder, "run", "psql", "-q", "-d", site.database.name, "-c",
                             "BEGIN; ALTER TABLE vogeler.fresh ADD COLUMN odd int; SELECT pg_sleep(3); ROLLBACK"],
                            stdout=subprocess.DEVNULL)
    wait_until(lambda: site.database.sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted "
                                         "AND relation = 'vogeler.fresh'::regclass") == "1", "it is locked")
    site.answers.publish(rounds=3)
    assert lock.wait(30) == 0
    site.answers.wait_stored()
    assert not process.log_contains("BACKOFF")


def test_a_deadlock_with_somebody_else(site):
    process = collector(site, "1min")
    site.answers.publish()
    site.answers.wait_stored()
    update = "UPDATE vogeler.fresh SET bytes = bytes WHERE host = (SELECT id FROM vogeler.host WHERE name = '{}')".format
    site.server.sql("ALTER SYSTEM SET deadlock_timeout = '100ms'")
    site.server.sql("SELECT pg_reload_conf()")
    script = "; ".join(["BEGIN", *(update(host) + "; SELECT pg_sleep(0.02)" for host in reversed(HOSTS)), "COMMIT"])
    for _ in range(4):
        other = subprocess.Popen([SCRIPT, site.server.folder, "run", "psql", "-q", "-d", site.database.name, "-c", script],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while other.poll() is None:
            site.answers.publish()
    site.answers.wait_stored()
    assert int(site.database.sql(f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{site.database.name}'")) > 0
    assert not process.log_contains("BACKOFF")


def test_one_row_is_refused(site):
    """It goes where one can look at it, with the server's words; all others are stored."""
    collector(site, "1min")
    site.database.sql("CREATE FUNCTION vogeler.odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                      "IF NEW.name = 'odd' THEN RAISE 'no odd ones' USING ERRCODE = '23514'; END IF; RETURN NEW; END $$; "
                      "CREATE TRIGGER odd BEFORE INSERT ON vogeler.host FOR EACH ROW EXECUTE FUNCTION vogeler.odd()")
    site.answers.publish([*HOSTS, "odd"])

    def put_aside():
        site.answers.publish()  # that others are taken says that it is the row
        return site.ready("vogeler.dead") == 1
    wait_until(put_aside, "one is put aside", step=0.3)
    del site.answers.last["odd"]
    site.answers.wait_stored()
    (properties, _), = site.dead_letters()
    assert "no odd ones (SQLSTATE 23514)" in properties.headers["x-reason"], properties.headers


@pytest.mark.skipif(os.getuid() != 0, reason="a name server has port 53, which needs root")
def test_a_name_with_an_address_that_is_dead(site):
    user(site)
    silent = SilentAddress("127.0.0.1")
    relay = Relay("127.0.0.2", silent.port, site.server.port)
    names = NameServer(site.folder)
    names.speak({"db.test": ["127.0.0.1", "127.0.0.2"]})
    site.within = names.command
    try:
        collector(site, dbhost=f"pg://cmdb:secret@db.test:{silent.port}/{site.database.name}")
        site.answers.publish()
        site.answers.wait_stored()
        assert relay.taken > 0
    finally:
        for one in (relay, silent, names):
            one.close()


def serve_tls(server, identity):
    """The key is the server's alone."""
    for path, name in ((identity.cert, "server.crt"), (identity.key, "server.key")):
        target = server.folder / "data" / name
        shutil.copy(path, target)
        target.chmod(0o600)
        if os.getuid() == 0:
            shutil.chown(target, "postgres")
    server.sql("ALTER SYSTEM SET ssl = on")
    server.sql("SELECT pg_reload_conf()")


def test_tls(site):
    """Whom to trust is said in the URI; who is not who he should be is not spoken to."""
    authority = Authority(site.folder / "ca")
    other = Authority(site.folder / "other", "Other CA")
    plain = user(site)
    done = site.run("vogeler-admin", "--dbhost", plain + "?sslmode=require", "hosts")
    assert done.status == 1 and re.search("server does not support SSL.* while agreeing on TLS; cure: .*sslmode=disable", done.err), done
    serve_tls(site.server, authority.sign("db", "DNS:localhost"))
    port, name = site.server.port, site.database.name

    def ask(host, ca, mode="verify-full"):
        return site.run("vogeler-admin", "--dbhost", f"pg://cmdb:secret@{host}:{port}/{name}?sslmode={mode}&sslrootcert={ca.cert}",
                        "hosts")
    assert ask("localhost", authority).status == 0
    assert ask("127.0.0.1", authority, "verify-ca").status == 0
    for host, ca, words in (("localhost", other, "certificate verify failed"), ("127.0.0.1", authority, "does not match host name")):
        done = ask(host, ca)
        assert done.status == 1 and words in done.err and "; cure: sslrootcert=FILE of the URI names the CA" in done.err, done
        assert done.err.count("\n") == 1 and "secret" not in done.err, done
    site.dbhost = f"pg://cmdb:secret@localhost:{port}/{name}?sslmode=verify-full&sslrootcert={authority.cert}"
    collector(site)
    site.answers.publish()
    site.answers.wait_stored()
    assert site.database.sql("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'cmdb'") == "t"


# The server's own folder on a small file system: in a mount namespace, so that only it sees it.
SMALL = r"""
set -eu
mount -t tmpfs -o size=$3,mode=0755 none "$2/small"
"$1" "$2/small" init
exec "$1" "$2/small" server
"""


class SmallPostgres:
    def __init__(self, folder):
        self.folder = folder
        (folder / "small").mkdir()
        self.process = Process("small", ["unshare", "--mount", "--propagation", "private", "/bin/bash", "-c", SMALL, "small",
                                         SCRIPT, folder, "120m"], folder, clean_environment(folder)).start()
        wait_until(lambda: self.call("run", "pg_isready", "-q").returncode == 0, "PostgreSQL answers", step=0.1)

    def within(self, *argv):
        return subprocess.run(["nsenter", "-t", str(self.process.pid), "-m", *argv], check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, encoding="utf-8")

    def call(self, *args):
        return self.within(SCRIPT, str(self.folder / "small"), *args)

    def sql(self, text, database="postgres"):
        done = self.call("run", "psql", "-XAtq", "-d", database, "-c", text)
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()

    @property
    def port(self):
        return self.within("cat", str(self.folder / "small" / "node.env")).stdout.strip().partition("=")[2]


@pytest.mark.skipif(os.getuid() != 0, reason="a file system of one's own needs root")
def test_disk_full(site, tmp_path_factory):
    server = SmallPostgres(tmp_path_factory.mktemp("pg"))
    try:
        server.sql("CREATE ROLE cmdb LOGIN CREATEROLE PASSWORD 'secret'")
        server.sql("CREATE DATABASE cmdb OWNER cmdb")
        site.dbhost = f"pg://cmdb:secret@127.0.0.1:{server.port}/cmdb"
        site.admin("setup", qhost=True)
        collector(site)
        site.answers.publish()
        site.answers.wait_stored()
        small = str(server.folder / "small" / "filler")
        # The log of what is to be written has its room: the tables are what finds none.
        server.sql("SELECT pg_switch_wal()")
        server.sql("CHECKPOINT")
        server.within("dd", "if=/dev/zero", f"of={small}", "bs=64k")
        for _ in range(200):
            site.answers.publish(rounds=5)
            if site.monitor.narrow("53100|No space left"):
                break
        wait_down(site, r"No space left on device \(SQLSTATE 53100\); cure: make room|recovery|refused|terminat|53100")
        server.within("rm", small)
        site.answers.wait_stored()
        wait_well(site)
    finally:
        server.process.signal(signal.SIGINT)
        server.process.wait()
