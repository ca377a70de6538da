"""vogeler-admin doctor: each link that is broken is named with its cure, by the real programs on the real broker."""
import json
import re
import socket
import threading

from lib.process import run
from lib.site import program


def doctor(site, *args, qhost=None, dbhost=None, options=()):
    """The exit status, and check -> list of (status, detail, cure). dbhost: "" for none."""
    argv = [program("vogeler-admin"), "--qhost", qhost or site.qhost]
    if dbhost != "":
        argv += ["--dbhost", dbhost or site.dbhost]
    for option in (f"client.state_dir={site.folder}/state", f"global.plugin_path={site.plugins}") + tuple(options):
        argv += ["-o", option]
    done = run(argv + list(args) + ["doctor", "--json"], site.env, site.folder)
    found = {}
    for line in json.loads(done.out):
        found.setdefault(line["check"], []).append((line["status"], line["detail"], line["cure"]))
    assert "-c" in args or done.err == "", done
    return done.status, found


AGENT = "client.name=web01 client.state_dir={}/state.web01"


def user_of(site, *rights):
    """The URI of a user that may configure, write and read these."""
    user = f"u{site.vhost}"
    site.broker.ctl("add_user", user, "pw")
    site.broker.ctl("set_permissions", "-p", site.vhost, user, *rights)
    return site.broker.uri(site.vhost, user, "pw")


def bad(found):
    return {check: [s for s in said if s[0] == "FAIL"] for check, said in found.items()
            if any(s[0] == "FAIL" for s in said)}


def test_all_is_well(any_site):
    site = any_site
    site.plugin("one", "echo 1")
    site.collector()
    site.agent()
    (site.folder / "state.web01").chmod(0o700)
    status, found = doctor(site, options=AGENT.format(site.folder).split())
    assert status == 0 and not bad(found), found
    assert found["collector"][0][0] == "ok" and "1 read master.in" in found["collector"][0][1], found
    assert found["plugins"][0][0] == "ok" and "1 declared" in found["plugins"][0][1], found
    for check in ("config", "clock", "state folder", "broker dns", "broker tcp", "broker login", "broker vhost",
                  "topology", "permissions", "dead letters", "agent", "store database", "store write"):
        assert all(s[0] == "ok" for s in found[check]), (check, found[check])
    assert len(found["topology"]) == 5, found
    assert [s[1] for s in found["permissions"][1:]] == ["may read queue master.in", "may read queue web01"], found
    assert found["agent"][0][1].startswith("1 reads web01"), found


def test_text_is_one_line_a_check_without_passwords(site):
    wrong = site.broker.uri(site.vhost, password="wr0ngword")
    done = site.run("vogeler-admin", "--qhost", wrong, "--dbhost", site.dbhost, "doctor")
    assert done.status == 1 and "wr0ngword" not in done.out + done.err, done
    lines = done.out.splitlines()
    assert all(line.split()[0] in ("ok", "warn", "FAIL", "skip") for line in lines), done
    failed = [line for line in lines if line.startswith("FAIL  broker login")]
    assert len(failed) == 1 and 'user "guest" was refused' in failed[0], done
    assert "; cure: check user and password" in failed[0], done
    assert any(line.startswith("skip  permissions") for line in lines), done


def test_looking_makes_nothing(site):
    status, found = doctor(site)
    assert status == 1
    assert [s[0] for s in found["topology"]] == ["FAIL"] * 4, found
    assert all(s[2] == "vogeler-admin setup" for s in found["topology"]), found
    assert "vogeler-admin setup" in found["store file"][0][2], found
    assert site.broker.queue(site.vhost, "master.in") is None
    assert not (site.folder / "records.db").exists()
    site.admin("setup", qhost=True)
    status, found = doctor(site)
    assert status == 0, found
    assert found["collector"][0][0] == "warn" and found["collector"][0][2] == "start vogelerd", found


def test_sending_leaves_nothing_behind(site):
    site.admin("setup", qhost=True)
    client = site.party("Client2010", "web01")
    status, _ = doctor(site)
    assert status == 0
    assert [site.ready(q) for q in ("master.in", "vogeler.dead", "web01")] == [0, 0, 0]
    client.close()


def test_vhost_that_is_not_there(site):
    status, found = doctor(site, qhost=site.broker.uri("nowhere"))
    assert status == 1 and found["broker login"][0][0] == "ok", found
    assert found["broker vhost"][0][0] == "FAIL" and "rabbitmqctl add_vhost" in found["broker vhost"][0][2], found
    assert found["topology"] == [("skip", "not reached", None)], found


def test_each_broker_of_the_list_is_looked_at(site):
    site.admin("setup", qhost=True)
    status, found = doctor(site, qhost=f"amqp://127.0.0.1:1/x,{site.qhost},amqp://no.such.host.invalid/x")
    assert status == 1
    assert [s[0] for s in found["broker dns"]] == ["ok", "ok", "FAIL"], found
    assert [s[0] for s in found["broker tcp"]] == ["FAIL", "ok", "skip"], found
    assert [s[0] for s in found["broker login"]] == ["skip", "ok", "skip"], found


def test_queue_with_other_arguments_and_user_without_rights(site):
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.queue_declare("master.in", durable=True, arguments={"x-max-length": 5})
    channel.exchange_declare("vogeler.broadcast.in", "fanout", durable=True)
    connection.close()
    site.admin("setup", qhost=True, status=1)  # it tells of the same
    status, found = doctor(site)
    assert status == 1
    said = {s[1].split()[1]: s for s in found["topology"]}
    assert said["master.in"][0] == "FAIL" and "x-max-length" in said["master.in"][1], found
    assert "delete_queue" in said["master.in"][2], found
    assert said["vogeler.broadcast.in"][0] == "FAIL" and "type" in said["vogeler.broadcast.in"][1], found
    assert said["vogeler.dead"][0] == "ok", found
    user = f"poor{site.vhost}"
    site.broker.ctl("add_user", user, "pw")
    site.broker.ctl("set_permissions", "-p", site.vhost, user, "^$", "^vogeler.broadcast.in$", "^$")
    status, found = doctor(site, qhost=site.broker.uri(site.vhost, user, "pw"))
    assert status == 1
    # Without the right to configure nobody is told of kinds; what is there is there.
    assert all(s[0] == "ok" for s in found["topology"]), found
    said = found["permissions"][0]
    assert said[0] == "FAIL" and "vogeler.master.in" in said[1] and "set_permissions" in said[2], found


def test_host_with_an_agent_alone(site):
    """Its user may send answers and read its own queue: all that is looked for, and no store."""
    site.admin("setup", "web01", qhost=True)
    qhost = user_of(site, "^$", "^vogeler.master.in$", "^web01$")
    site.agent(qhost=qhost)
    (site.folder / "state.web01").chmod(0o700)
    status, found = doctor(site, qhost=qhost, dbhost="", options=AGENT.format(site.folder).split())
    assert status == 0, found
    assert [s[1] for s in found["permissions"]] == ["may send to vogeler.master.in", "may read queue web01"], found
    assert found["agent"] == [("ok", "1 reads web01, commands waiting=0", None)], found
    assert "queue web01 is there" in str(found["topology"]), found
    assert found["store write"][0][0] == "skip", found


def test_agent_that_does_not_run_or_may_not_read(site):
    (site.folder / "state.web01").mkdir(mode=0o700)
    options = AGENT.format(site.folder).split()
    site.admin("setup", qhost=True)
    status, found = doctor(site, options=options)
    assert status == 1 and "web01" in str(bad(found)) and found["agent"][0][0] == "skip", found
    assert "vogeler-admin setup, with the name of the host" in bad(found)["topology"][0][2], found
    site.admin("setup", "web01", qhost=True)
    site.ask("hello", "web01")
    status, found = doctor(site, options=options)
    assert status == 0, found
    assert found["agent"] == [("warn", "nobody reads web01, commands waiting=1", "start vogeler-agent")], found
    qhost = user_of(site, "^$", "^vogeler.master.in$", "^web02$")
    status, found = doctor(site, qhost=qhost, dbhost="", options=options)
    assert status == 1 and list(bad(found)) == ["permissions"], found
    said = bad(found)["permissions"][0]
    assert "web01" in said[1] and "refused" in said[1] and "set_permissions" in said[2], said
    # What waits was not touched: not even marked as delivered once.
    connection = site.broker.connect(site.vhost)
    method, _, _ = connection.channel().basic_get("web01")
    assert method.message_count == 0 and not method.redelivered, method
    connection.close()


def test_host_with_a_collector_alone(site):
    site.admin("setup", qhost=True)
    site.collector()
    status, found = doctor(site)
    assert status == 0, found
    assert [s[1] for s in found["permissions"][1:]] == ["may read queue master.in"], found
    assert found["agent"] == [("skip", "there is none on this machine", None)], found
    assert found["state folder"][0][0] == "skip", found
    qhost = user_of(site, "^$", ".*", "^$")
    status, found = doctor(site, qhost=qhost)
    assert status == 1 and "master.in" in bad(found)["permissions"][0][1], found


def test_waiting_and_dead_letters_are_counted(site):
    site.admin("setup", qhost=True)
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("", "vogeler.dead", b"x")
    for _ in range(3):
        channel.basic_publish("", "master.in", b"x")
    connection.close()
    status, found = doctor(site)
    assert status == 0
    assert found["dead letters"][0][0] == "warn" and found["dead letters"][0][1].startswith("1 in"), found
    assert "waiting=3" in found["collector"][0][1], found


def test_files_that_others_may_read_or_write(site):
    conf = site.file("v.conf", f"[amqp]\ndsn = {site.qhost}\nhartbeat = 3s\n")
    conf.chmod(0o644)
    (site.folder / "state").mkdir(mode=0o700)
    (site.folder / "state").chmod(0o777)
    site.plugin("good", "echo 1")
    site.plugin("bad", "echo 1").chmod(0o666)
    status, found = doctor(site, "-c", str(conf))
    assert status == 1
    assert found["config"][0][0] == "warn" and "v.conf:3" in found["config"][0][1], found
    assert found["config modes"][0][0] == "FAIL" and "chmod o-r" in found["config modes"][0][2], found
    assert found["state folder"][0][0] == "FAIL" and "chmod go-w" in found["state folder"][0][2], found
    assert found["plugins"][0][0] == "FAIL" and "bad.cfg" in found["plugins"][0][1], found
    conf.chmod(0o640)
    assert doctor(site, "-c", str(conf))[1]["config modes"][0][0] == "ok"


def test_store_that_is_down_or_without_the_database(couch_site):
    site = couch_site
    site.admin("setup", qhost=True)
    status, found = doctor(site, dbhost="couch://127.0.0.1:1/x")
    assert status == 1 and found["store tcp"][0][0] == "FAIL" and found["store write"][0][0] == "skip", found
    status, found = doctor(site, dbhost=site.dbhost + "_gone")
    assert status == 1 and found["store database"][0][0] == "FAIL", found
    assert "vogeler-admin setup" in found["store database"][0][2], found
    status, found = doctor(site)
    assert status == 0 and found["store clock"][0] == ("ok", "agrees with ours", None), found


class OtherHead:
    """Answers "HEAD /" with what it is given, and passes everything else on to a store's port."""

    def __init__(self, port, answer):
        self.to, self.answer = port, answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        first = peer.recv(65536)
        if not first or first.startswith(b"HEAD / "):
            peer.sendall(self.answer)
            peer.close()
            return
        server = socket.create_connection(("127.0.0.1", self.to))
        server.sendall(first)
        threading.Thread(target=self._copy, args=(peer, server), daemon=True).start()
        self._copy(server, peer)

    @staticmethod
    def _copy(source, sink):
        try:
            data = source.recv(65536)
            while data:
                sink.sendall(data)
                data = source.recv(65536)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_clock_of_the_store(couch_site):
    site = couch_site
    address, name = site.dbhost.split("//", 1)[1].split("/", 1)
    port = int(address.rsplit(":", 1)[1])
    for head, expect in ((b"Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n", ("warn", " s before the store's", "timedatectl")),
                         (b"Server: x\r\n", ("skip", "no Date", ""))):
        proxy = OtherHead(port, b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        _, found = doctor(site, dbhost=f"couch://127.0.0.1:{proxy.port}/{name}")
        status, detail, cure = found["store clock"][0]
        assert status == expect[0] and expect[1] in detail and expect[2] in (cure or ""), found
        proxy.listener.close()


def test_what_cannot_be_looked_at(site):
    """Nothing is named, or it is not what it should be."""
    state = site.file("state.file", "")
    conf = site.file("v.conf", "[client]\nname = web01\n")
    conf.chmod(0o646)
    argv = [program("vogeler-admin"), "--dbhost", "null://", "-c", conf, "-o", f"client.state_dir={state}",
            "-o", f"global.plugin_path={site.folder}/nowhere", "doctor"]
    done = run(argv, site.env, site.folder)
    assert done.status == 1, done
    for line in (r"FAIL  config modes      \S*v.conf: everyone may write it \(mode 0646\); cure: chmod o-w the file",
                 r"FAIL  state folder      \S*state.file is not a folder; cure: move it away",
                 r"FAIL  plugins           \S*nowhere: cannot read the plugin directory: No such file or directory; cure:",
                 r"FAIL  broker dns        no broker is named; cure: give --qhost URI",
                 r"warn  store database    null:// keeps nothing"):
        assert re.search("^" + line, done.out, re.M), (line, done.out)
