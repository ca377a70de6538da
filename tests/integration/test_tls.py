# SPDX-License-Identifier: Apache-2.0
"""amqps:// and couchs://: what is refused, in which words; and that all works where nothing is to be refused."""
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.broker import Broker
from lib.certs import Authority
from lib.http import Monitor
from lib.ports import free_port
from lib.site import Site, in_use
from lib.tlsproxy import TlsProxy


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    class Certs:
        pass
    made = Certs()
    made.ca = Authority(tmp_path_factory.mktemp("ca"))
    made.other = Authority(tmp_path_factory.mktemp("other"), "Other CA")
    made.good = made.ca.sign("good")
    made.expired = made.ca.sign("expired", days=-1)
    made.wrong_name = made.ca.sign("wrong", "DNS:broker.example,DNS:*.example")
    made.unknown = made.other.sign("unknown")
    made.self_signed = made.ca.self_signed("selfish")
    made.stranger = made.other.sign("stranger", hosts="")
    made.client = made.ca.sign("web01", hosts="")
    return made


class TlsBroker(Broker):
    """A node that listens for TLS too, and takes certificates as logins."""

    def __init__(self, folder, certs):
        super().__init__(folder)
        self.tls_port = free_port()
        with open(folder / "rabbitmq.conf", "a", encoding="ascii") as f:
            f.write(f"""
listeners.ssl.1 = 127.0.0.1:{self.tls_port}
ssl_options.cacertfile = {certs.ca.cert}
ssl_options.certfile = {certs.good.cert}
ssl_options.keyfile = {certs.good.key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
""")
        (folder / "enabled_plugins").write_text("[rabbitmq_auth_mechanism_ssl].")

    def tls_uri(self, vhost, login="guest:guest@", host="127.0.0.1", port=None):
        return f"amqps://{login}{host}:{port or self.tls_port}/{vhost}"

    def listen(self, wanted):
        """More TLS listeners. wanted: name -> (identity, CA, more Erlang options); returns name -> port."""
        ports = {}
        while len(ports) < len(wanted):
            left = {name: free_port() for name in wanted if name not in ports}
            items = []
            for name, port in left.items():
                identity, ca, more = wanted[name]
                items.append(f'{{{port}, [{{certfile, "{identity.cert}"}}, {{keyfile, "{identity.key}"}}, '
                             f'{{cacertfile, "{ca.cert}"}}{more}]}}')
            said = self.ctl("eval", "io:format(\"~w~n\", [[P || {P, O} <- [" + ", ".join(items) + "], ok =:= (catch "
                            'rabbit_networking:start_ssl_listener({"127.0.0.1", P, ipv4}, O, 1))]]).')
            # A port that somebody else has taken meanwhile is not among them.
            started = re.findall(r"\d+", said.splitlines()[0])
            assert started, said
            ports.update({name: port for name, port in left.items() if str(port) in started})
        return ports


@pytest.fixture(scope="module")
def tls_node(tmp_path_factory, certs):
    node = TlsBroker(tmp_path_factory.mktemp("tls-rabbitmq"), certs)
    try:
        yield node.start()
    finally:
        node.finish()


@pytest.fixture(scope="module")
def listeners(tls_node, certs):
    """What is wrong -> port of the node."""
    strict = ", {verify, verify_peer}, {fail_if_no_peer_cert, true}"
    return tls_node.listen({
        "expired": (certs.expired, certs.ca, ""),
        "wrong name": (certs.wrong_name, certs.ca, ""),
        "unknown CA": (certs.unknown, certs.other, ""),
        "self-signed": (certs.self_signed, certs.self_signed, ""),
        "TLS 1.1": (certs.good, certs.ca, ", {versions, ['tlsv1.1']}"),
        "our certificate": (certs.good, certs.ca, strict),
    })


@pytest.fixture
def tls_site(request, tls_node, tmp_path):
    yield from in_use(request, Site(tls_node, tls_node.new_vhost(), tmp_path))


def trusting(certs, client=None):
    options = [f"amqp.ca_file={certs.ca.cert}"]
    if client:
        options += [f"amqp.cert_file={client.cert}", f"amqp.key_file={client.key}"]
    return options


# The broker

def test_everything_over_amqps(tls_site, tls_node, certs):
    site = tls_site
    site.plugin("hello", "echo hello")
    qhost = tls_node.tls_uri(site.vhost)
    site.collector(qhost=qhost, options=trusting(certs))
    site.agent(qhost=qhost, options=trusting(certs))
    done = site.run("vogeler-runner", "--qhost", tls_node.tls_uri(site.vhost, host="localhost"),
                    "--option", trusting(certs)[0], "-n", "all", "-x", "hello")
    assert done.status == 0, done
    assert site.wait_plugin("hello") == ["hello"]


def test_large_messages_over_amqps(tls_site, tls_node, certs):
    site = tls_site
    site.plugin("large", ["sh", "-c", "head -c 700000 /dev/zero | tr '\\0' x"])
    qhost = tls_node.tls_uri(site.vhost)
    site.collector(qhost=qhost, options=trusting(certs))
    site.agent(qhost=qhost, options=trusting(certs))
    site.runner("-n", "web01", "-x", "large")
    assert len(site.wait_plugin("large")[0]) == 700000


def test_a_certificate_is_a_login(tls_site, tls_node, certs):
    """SASL EXTERNAL: the broker takes the user from the certificate; without one there is no other login."""
    site = tls_site
    site.broker.add_user("web01", "unused")
    site.broker.set_permissions(site.vhost, "web01", ".*", ".*", ".*")
    site.plugin("hello", "echo hello")
    site.collector()
    agent = site.agent(qhost=tls_node.tls_uri(site.vhost, login=""), options=trusting(certs, certs.client))
    site.runner("-n", "web01", "-x", "hello")
    assert site.wait_plugin("hello") == ["hello"]
    users = site.broker.ctl("list_connections", "user", "auth_mechanism", "--no-table-headers")
    assert "web01\tEXTERNAL" in users, users
    assert agent.running


def test_a_certificate_with_its_user_named_attests_the_host(tls_site, tls_node, certs):
    site = tls_site
    site.broker.add_user("web01", "unused")
    site.broker.set_permissions(site.vhost, "web01", ".*", ".*", ".*")
    site.plugin("hello", "echo hello")
    site.collector(options=["server.attest=yes"])
    site.agent(qhost=tls_node.tls_uri(site.vhost, login="web01@"), options=trusting(certs, certs.client))
    site.runner("-n", "web01", "-x", "hello")
    assert site.wait_plugin("hello") == ["hello"]


def doctor(site, *argv):
    here = ("-o", f"client.state_dir={site.folder}/none", "-o", f"global.plugin_path={site.plugins}")
    done = site.run("vogeler-admin", *argv, *here, "doctor")
    return done, [line for line in done.out.splitlines() if line.startswith("FAIL")]


def test_doctor_over_amqps(tls_site, tls_node, certs):
    site = tls_site
    site.admin("setup", qhost=True)
    site.broker.add_user("web01", "unused")
    site.broker.set_permissions(site.vhost, "web01", ".*", ".*", ".*")
    options = [a for o in trusting(certs, certs.client) for a in ("--option", o)]
    done, failed = doctor(site, "--qhost", tls_node.tls_uri(site.vhost, login=""), *options)
    assert done.status == 0 and not failed, done
    assert re.search("ok +broker tls +the broker's certificate is good; the first .* ends in (29|30) days", done.out), done
    assert re.search("ok +broker login +.* as whom the certificate names", done.out), done


def test_the_end_of_a_certificate_is_told(tls_site, tls_node, certs):
    """Ours ends in five days, the broker's in thirty: the first is what counts, for doctor and for alerts."""
    site = tls_site
    site.admin("setup", qhost=True)
    client = certs.ca.sign("soon", hosts="", days=5)
    options = trusting(certs, client)
    done, _ = doctor(site, "--qhost", tls_node.tls_uri(site.vhost), *[a for o in options for a in ("--option", o)])
    assert re.search("warn +broker tls +.* ends in [45] days, 20.*; cure: renew", done.out), done
    monitor = Monitor("client")
    site.agent(qhost=tls_node.tls_uri(site.vhost), options=(*options, monitor.option))
    _, page = monitor.get("/metrics")
    end = re.search(r'^vogeler_broker_certificate_end_timestamp_seconds\{role="agent"\} (\d+)$', page, re.M)
    assert 4 < (int(end[1]) - time.time()) / 86400 <= 5, page


BAD = pytest.mark.parametrize("kind", ["expired", "wrong name", "our certificate"])


@BAD
def test_doctor_and_a_bad_certificate_of_the_broker(tls_site, tls_node, listeners, certs, kind):
    site = tls_site
    site.admin("setup", qhost=True)
    done, failed = doctor(site, "--qhost", tls_node.tls_uri(site.vhost, port=listeners[kind]), "--dbhost", site.dbhost,
                          "-o", trusting(certs)[0])
    assert done.status == 1 and len(failed) == 1, done
    assert re.match("FAIL  broker tls +.*" + refusals(certs, 0)[kind][2], failed[0]), done
    assert re.search("^skip  broker login ", done.out, re.M), done


@BAD
def test_doctor_and_a_bad_certificate_of_the_store(couch_site, certs, kind):
    site = couch_site
    site.admin("setup", qhost=True)
    identity, more, words = refusals(certs, 0)[kind]
    proxy = TlsProxy(identity, plain_port(site), **more)
    done, failed = doctor(site, "--qhost", site.qhost, "--dbhost", couch_over(site, proxy), "-o",
                          f"couch.ca_file={certs.ca.cert}")
    assert done.status == 1 and len(failed) == 1, done
    assert re.match("FAIL  store tls +.*" + words, failed[0]), done
    for check in ("login", "database", "write", "clock"):
        assert re.search(f"^skip  store {check} ", done.out, re.M), done
    proxy.close()


def test_doctor_over_couchs(couch_site, certs):
    site = couch_site
    site.admin("setup", qhost=True)
    proxy = TlsProxy(certs.good, plain_port(site))
    done, failed = doctor(site, "--qhost", site.qhost, "--dbhost", couch_over(site, proxy), "-o",
                          f"couch.ca_file={certs.ca.cert}")
    assert done.status == 0 and not failed, done
    for line in ("ok    store tls         the store's certificate is good", "ok    store login ", "ok    store write ",
                 "ok    store clock       agrees with ours"):
        assert f"\n{line}" in done.out, done
    proxy.close()


def test_a_certificate_of_nobody_is_said(tls_site, tls_node, certs):
    site = tls_site
    stranger = certs.ca.sign("stranger", hosts="")
    agent = site.agent(qhost=tls_node.tls_uri(site.vhost, login=""), options=trusting(certs, stranger), ready=False)
    agent.wait_log(r"our certificate does not log us in.*ssl_cert_login_from")


def refusals(certs, port):
    """what is wrong -> (identity, more for TlsProxy, words)."""
    return {
        "expired": (certs.expired, {}, r"TLS failed: its certificate expired on 20\d\d-\d\d-\d\d \d\d:\d\d UTC"),
        "wrong name": (certs.wrong_name, {},
                       r'its certificate is for "broker.example", "\*.example" and not for 127.0.0.1'),
        "unknown CA": (certs.unknown, {}, r'signed by an unknown CA, "Other CA".*ca_file'),
        "self-signed": (certs.self_signed, {}, "its certificate is self-signed"),
        "TLS 1.1": (certs.good, {"old": True}, r"its TLS is too old.*TLS 1\.2"),
        "our certificate": (certs.good, {"client_ca": certs.ca.cert}, "wants? a certificate of ours.*cert_file"),
    }


KINDS = ["expired", "wrong name", "unknown CA", "self-signed", "TLS 1.1", "our certificate"]


@pytest.mark.parametrize("kind", KINDS)
def test_refused_broker_is_told_and_tried_again(tls_site, tls_node, listeners, certs, kind):
    """By RabbitMQ's own listeners. One line says why; then it is tried again; the password never leaves."""
    site = tls_site
    _, _, words = refusals(certs, 0)[kind]
    qhost = tls_node.tls_uri(site.vhost, port=listeners[kind])
    options = trusting(certs) + ["amqp.reconnect_max=1s"]
    agent = site.agent(qhost=qhost, options=options, ready=False)
    agent.wait_log(r"down \(tls\): .*" + words)
    agent.wait_log("-> BACKOFF", 2)
    assert not agent.log_contains("-> OPENING")
    assert agent.running
    done = site.run("vogeler-runner", "--qhost", qhost, "--option", options[0], "-n", "web01", "-x", "hello")
    # With TLS 1.3 a peer that wants a certificate says so after our handshake, and may be gone by then.
    assert done.status != 0 and ("cert_file" if kind == "our certificate" else "TLS failed: ") in done.err, done


@pytest.mark.parametrize("kind", KINDS)
def test_broker_is_back_when_its_certificate_is_right(site, broker, certs, kind):
    """Refused by a proxy in front of the node, taken from one at the same port."""
    identity, more, words = refusals(certs, 0)[kind]
    bad = TlsProxy(identity, broker.port, **more)
    qhost = f"amqps://guest:guest@127.0.0.1:{bad.port}/{site.vhost}"
    options = trusting(certs) + ["amqp.reconnect_max=1s"]
    collector = site.collector(qhost=qhost, options=options, ready=False)
    agent = site.agent(qhost=qhost, options=options, ready=False)
    for process in (collector, agent):
        process.wait_log(r"down \(tls\): .*" + words)
    bad.close()
    good = TlsProxy(certs.good, broker.port, port=bad.port)
    site.plugin("hello", "echo hello")
    agent.signal(signal.SIGHUP)
    site.wait_consumer("master.in", collector)
    site.wait_consumer("web01", agent)
    site.ask("hello")
    assert site.wait_plugin("hello") == ["hello"]
    good.close()


def test_tls_port_is_told_to_who_comes_in_plain(tls_site, tls_node):
    plain = tls_node.tls_uri(tls_site.vhost).replace("amqps:", "amqp:")
    agent = tls_site.agent(qhost=plain, ready=False)
    agent.wait_log(r"down \(protocol\): .*TLS")
    assert not agent.log_contains("-> OPENING") and agent.running


def test_plain_port_is_told(site, broker, certs):
    agent = site.agent(qhost=broker.uri(site.vhost).replace("amqp:", "amqps:"), options=trusting(certs), ready=False)
    agent.wait_log(r"down \(tls\): .*it answered, but not in TLS; cure: is this the plain port\?")


def test_retry_after_a_refusal_waits_long(tls_site, tls_node, listeners, certs):
    qhost = tls_node.tls_uri("", port=listeners["expired"])
    agent = tls_site.agent(qhost=qhost, options=trusting(certs), ready=False)
    agent.wait_log(r"down \(tls\): .*retry_in=(1[5-9]|2\d|30)\.\ds")


@pytest.mark.parametrize("files, words", [
    ({"ca_file": "/no/such.pem"}, r"\[amqp\] ca_file: cannot read /no/such.pem: No such file or directory"),
    ({"ca_file": "/etc/passwd"}, r"\[amqp\] ca_file: /etc/passwd is no file of certificates"),
    ({"cert_file": "/etc/passwd"}, r"\[amqp\] cert_file: /etc/passwd holds no certificate"),
    ({"key_file": "/etc/passwd"}, r"\[amqp\] key_file without cert_file"),
])
def test_bad_files_end_the_start(site, files, words):

    options = [a for k, v in files.items() for a in ("--option", f"amqp.{k}={v}")]
    done = site.run("vogelerd", "--qhost", "amqps://127.0.0.1/x", "--dbhost", "null://", *options)
    assert done.status == 1 and re.search(words, done.err), done


def test_files_do_not_matter_without_tls(site):
    site.plugin("hello", "echo hello")
    site.collector(options=["amqp.ca_file=/no/such.pem"])


# Several brokers and addresses

def test_brokers_are_tried_in_turn(site, broker, certs):
    """Nobody there, then one that is refused, then a good one."""
    refused = TlsProxy(certs.expired, broker.port)
    qhost = (f"amqp://guest:guest@127.0.0.1:{free_port()}/{site.vhost},"
             f"amqps://guest:guest@127.0.0.1:{refused.port}/{site.vhost},{broker.uri(site.vhost)}")
    agent = site.agent(qhost=qhost, options=trusting(certs), ready=False)
    site.wait_consumer("web01", agent)
    assert agent.log_contains("connection refused") and agent.log_contains("expired on")
    refused.close()


def test_a_name_with_a_dead_address_first(site, broker):
    """localhost is ::1 and 127.0.0.1, and the node is on the latter only."""
    addresses = [a[4][0] for a in socket.getaddrinfo("localhost", broker.port, type=socket.SOCK_STREAM)]
    assert "127.0.0.1" in addresses, addresses
    agent = site.agent(qhost=f"amqp://guest:guest@localhost:{broker.port}/{site.vhost}", ready=False)
    site.wait_consumer("web01", agent)


def test_ipv6(site, broker, certs):
    proxy = TlsProxy(certs.good, broker.port, host="::1")
    agent = site.agent(qhost=f"amqps://guest:guest@[::1]:{proxy.port}/{site.vhost}", options=trusting(certs),
                       ready=False)
    site.wait_consumer("web01", agent)
    proxy.close()


# The store

def couch_over(site, proxy, host="127.0.0.1"):
    login, _, place = site.dbhost.split("//", 1)[1].rpartition("@")
    return f"couchs://{login and login + '@'}{host}:{proxy.port}/{place.split('/', 1)[1]}"


def plain_port(site):
    return int(site.dbhost.rsplit(":", 1)[1].split("/")[0])


def test_records_over_couchs(couch_site, certs):
    site = couch_site
    proxy = TlsProxy(certs.good, plain_port(site))
    site.plugin("hello", "echo hello")
    site.collector(dbhost=couch_over(site, proxy, "localhost"), options=[f"couch.ca_file={certs.ca.cert}"])
    site.agent()
    site.runner("-n", "web01", "-x", "hello")
    assert site.wait_plugin("hello") == ["hello"]
    proxy.close()


def test_couchs_with_a_certificate_of_ours(couch_site, certs):
    site = couch_site
    proxy = TlsProxy(certs.good, plain_port(site), client_ca=certs.ca.cert)
    done = site.run("vogeler-admin", "--dbhost", couch_over(site, proxy), "--option", f"couch.ca_file={certs.ca.cert}",
                    "--option", f"couch.cert_file={certs.client.cert}", "--option",
                    f"couch.key_file={certs.client.key}", "hosts")
    assert done.status == 0, done
    proxy.close()


@pytest.mark.parametrize("kind", KINDS)
def test_refused_store_is_told_and_tried_again(couch_site, certs, kind):
    """As of a broker. The collector stays, and goes on when the certificate is right."""

    site = couch_site
    identity, more, words = refusals(certs, 0)[kind]
    proxy = TlsProxy(identity, plain_port(site), **more)
    dbhost = couch_over(site, proxy)
    ca = f"couch.ca_file={certs.ca.cert}"
    collector = site.collector(dbhost=dbhost, options=[ca], ready=False)
    collector.wait_log(words)
    assert collector.running
    done = site.run("vogeler-admin", "--dbhost", dbhost, "--option", ca, "hosts")
    assert done.status != 0 and re.search(words, done.err), done
    # The certificate is right now, or the one at the same port asks for none.
    proxy.close()
    good = TlsProxy(certs.good, plain_port(site), port=proxy.port)
    site.plugin("hello", "echo hello")
    site.agent()
    site.wait_consumer("master.in", collector)
    site.ask("hello")
    assert site.wait_plugin("hello") == ["hello"]
    good.close()


@pytest.mark.parametrize("ours, words", [
    (None, r"(TLS failed: it wants|does it want) a certificate of ours"),
    ("stranger", r"TLS failed: it does not know the CA of our certificate|does it take our certificate \(cert_file\)\?"),
])
def test_store_that_refuses_us_is_told_whatever_openssl_calls_it(site, certs, ours, words):
    """With TLS 1.3 our side of the handshake is over when the peer judges our certificate. Whether its alert, the reset of the
    connection or an end of file comes first is chance: several go at once, so that each comes up."""
    proxy = TlsProxy(certs.good, free_port(), client_ca=certs.ca.cert)
    args = ["--dbhost", f"couchs://127.0.0.1:{proxy.port}/records", "--option", f"couch.ca_file={certs.ca.cert}"]
    if ours:
        args += ["--option", f"couch.cert_file={certs.stranger.cert}", "--option", f"couch.key_file={certs.stranger.key}"]
    with ThreadPoolExecutor(4) as pool:
        for done in pool.map(lambda _: site.run("vogeler-admin", *args, "hosts"), range(16)):
            assert done.status == 1 and re.search(words, done.err) and done.err.count("; cure: ") <= 1, done
    proxy.close()


def test_plain_couch_port_is_told(couch_site, certs):
    site = couch_site
    done = site.run("vogeler-admin", "--dbhost", site.dbhost.replace("couch:", "couchs:"),
                    "--option", f"couch.ca_file={certs.ca.cert}", "hosts")
    assert done.status != 0 and "is this the plain port?" in done.err, done


def test_couch_port_that_does_not_know_tls_is_told(site, certs):
    """CouchDB's own plain port waits for the rest of the request that a TLS hello might become."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = site.run("vogeler-admin", "--dbhost", f"couchs://127.0.0.1:{silent.getsockname()[1]}/records",
                        "--option", f"couch.ca_file={certs.ca.cert}", "--option", "couch.timeout=1s", "hosts")
    assert done.status != 0 and "TLS handshake; cure: is this the plain port?" in done.err, done


def test_bad_store_files_end_the_start(site):
    done = site.run("vogeler-admin", "--dbhost", "couchs://127.0.0.1/x", "--option", "couch.ca_file=/no/such", "hosts")
    assert done.status == 1 and "[couch] ca_file: cannot read /no/such" in done.err, done


# What TLS costs

@pytest.mark.as_shipped
def test_idle_agent_is_small(tls_site, tls_node, certs, sanitized, record_property):
    """Without TLS nothing is paid for it; with it, little."""
    site = tls_site
    plain = site.agent("plain1")
    secure = site.agent("secure1", qhost=tls_node.tls_uri(site.vhost), options=trusting(certs))
    sizes = {}
    for name, agent in (("amqp", plain), ("amqps", secure)):
        sizes[name] = agent.memory_kb()
    record_property("figure", "idle agent, Pss: " + ", ".join(f"{n} {kb} kB" for n, kb in sizes.items()))
    if not sanitized:
        assert sizes["amqp"] < 6 * 1024, sizes
        assert sizes["amqps"] < 8 * 1024, sizes
