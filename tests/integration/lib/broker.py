# SPDX-License-Identifier: Apache-2.0
"""A private RabbitMQ node, started through tests/private-rabbitmq."""
import os
import signal
import socket
import subprocess

import pika

from .orphan import die_with_parent
from .waiting import wait_until

SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "private-rabbitmq")


def binary(text):
    """An Erlang binary."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'<<"{escaped}">>'


class Broker:
    def __init__(self, folder):
        self.folder = folder
        self.epmd = None
        self.node = None
        self.made = 0
        self.over = []  # vhosts that are not wanted any more: each costs a start of the node some time
        self._choose_ports()

    def _choose_ports(self):
        self._call("init")
        values = dict(line.split("=", 1) for line in (self.folder / "node.env").read_text().split())
        self.port = int(values["NODE_PORT"])
        self.epmd_port = int(values["EPMD_PORT"])

    def _argv(self, *args):
        return [SCRIPT, str(self.folder), *args]

    def _call(self, *args, check=True, stdin=""):
        return subprocess.run(self._argv(*args), check=check, timeout=90, input=stdin.encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()

    def _popen(self, verb):
        with open(self.folder / f"{verb}.out", "ab") as out:
            return subprocess.Popen(self._argv(verb), stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=subprocess.STDOUT, start_new_session=True,
                                    preexec_fn=die_with_parent)

    @property
    def running(self):
        return self.node is not None and self.node.poll() is None

    def _listens(self, port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def start_first(self):
        """Other tests look for free ports at the same time: whoever finds one taken chooses again."""
        for _ in range(5):
            try:
                return self.start()
            except (AssertionError, subprocess.CalledProcessError) as e:
                failure = e
                self.finish()
                self._choose_ports()
        raise failure

    def start(self):
        if self.epmd is None or self.epmd.poll() is not None:
            self.epmd = self._popen("epmd")
            wait_until(self._epmd_is_up, "epmd listens")
        self.node = self._popen("server")
        wait_until(self._is_up, "the broker listens", 90, 0.1)
        self.eval("rabbit:await_startup(node(), false, 60000)")
        assert self.running, self._said("server")
        return self

    def _said(self, verb):
        return (self.folder / f"{verb}.out").read_text("utf-8", "replace")[-2000:]

    def _epmd_is_up(self):
        assert self.epmd.poll() is None, "epmd did not start: " + self._said("epmd")
        return self._listens(self.epmd_port)

    def _is_up(self):
        assert self.running, "the broker did not start: " + self._said("server")
        return self._listens(self.port)

    def stop(self):
        self.node.terminate()
        self.node.wait(60)

    def kill(self):
        """SIGKILL to the node; what it started (its epmd is ours) goes with it."""
        os.killpg(self.node.pid, signal.SIGKILL)
        self.node.wait(60)

    def settle(self):
        """RabbitMQ notes a quorum queue in two places, of which one is on disk half a second later, or now: a node that is
        killed in between has a queue that answers nobody."""
        self.eval("[dets:sync(Table) || Table <- dets:all()]")

    def restart(self):
        self.stop()
        self.start()

    def finish(self):
        for process in (self.node, self.epmd):
            if process is not None and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(60)

    def ctl(self, *args, check=True):
        return self._call("ctl", *args, check=check)

    def eval(self, expression):
        """What an expression is on the node, as Erlang writes it. A busy node may not answer a call at once."""
        def answer():
            said = self._call("eval", check=False, stdin=expression + ".\n")
            return None if "failed to connect" in said else said
        said = wait_until(answer, "the node answers", step=0.1)
        assert said.startswith("{ok, "), f"{expression}: {said}"
        return said[len("{ok, "):-1]

    def major(self):
        """Of RabbitMQ's version: 3 in Debian 12, 4 in Debian 13."""
        return int(self.eval("rabbit_misc:version()").strip('"').partition(".")[0])

    def publish(self, vhost, exchange, key, bodies):
        """Messages that the node makes itself, which is a hundred times as fast as a client's. bodies: an Erlang expression,
        a list of iolists."""
        self.eval(f"""X = rabbit_misc:r({binary(vhost)}, exchange, {binary(exchange)}),
            Key = {binary(key)},
            Publish = case code:ensure_loaded(mc_amqpl) of
                {{module, _}} -> fun(Body) ->
                    Content = rabbit_basic:build_content(rabbit_basic:properties([{{delivery_mode, 2}}]), Body),
                    {{ok, Message}} = mc_amqpl:message(X, Key, Content),
                    ok = rabbit_queue_type:publish_at_most_once(X, Message) end;
                _ -> fun(Body) -> ok = case rabbit_basic:publish(X, Key, [{{delivery_mode, 2}}], Body) of
                    {{ok, _}} -> ok;
                    Other -> Other
                end end
            end,
            [Publish(iolist_to_binary(B)) || B <- {bodies}], ok""")

    def add_user(self, name, password):
        """Or gives the one that is there this password."""
        name, password = binary(name), binary(password)
        self.eval(f"""case rabbit_auth_backend_internal:exists({name}) of
            true -> rabbit_auth_backend_internal:change_password({name}, {password}, <<"tests">>);
            false -> rabbit_auth_backend_internal:add_user({name}, {password}, <<"tests">>) end""")

    def set_permissions(self, vhost, user, configure=".*", write=".*", read=".*"):
        rights = ", ".join(map(binary, (user, vhost, configure, write, read)))
        said = self.eval(f'rabbit_auth_backend_internal:set_permissions({rights}, <<"tests">>)')
        assert said == "ok", said

    def add_vhost(self, name):
        self.eval(f'ok = rabbit_vhost:add({binary(name)}, <<"tests">>)')
        self.set_permissions(name, "guest")

    def new_vhost(self):
        """The name of a vhost that nobody has used."""
        while self.over:
            self.eval(f'rabbit_vhost:delete({binary(self.over.pop())}, <<"tests">>)')
        name = f"t{self.made}"
        self.made += 1
        self.add_vhost(name)
        return name

    def uri(self, vhost, user="guest", password="guest"):
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{vhost}"

    def connect(self, vhost, user="guest", password="guest"):
        return pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.port, vhost, pika.PlainCredentials(user, password), heartbeat=0))

    def queue(self, vhost, name):
        """(messages ready, consumers), or None when there is no such queue."""
        connection = self.connect(vhost)
        try:
            method = connection.channel().queue_declare(name, passive=True).method
            return method.message_count, method.consumer_count
        except pika.exceptions.ChannelClosedByBroker as e:
            if e.reply_code == 404:
                return None
            raise
        finally:
            if connection.is_open:
                connection.close()

    def is_bound(self, vhost, exchange, queue):
        names = [f"rabbit_misc:r({binary(vhost)}, {kind}, {binary(name)})"
                 for kind, name in (("exchange", exchange), ("queue", queue))]
        return self.eval(f"rabbit_binding:list_for_source_and_destination({', '.join(names)})") != "[]"

    def bindings(self, vhost):
        """{(exchange, queue, key)}, without those of the default exchange."""
        said = self.eval(f"""lists:flatten([io_lib:format("~s|~s|~s;", [X, Q, K]) ||
            {{binding, {{resource, _, exchange, X}}, K, {{resource, _, queue, Q}}, _}}
            <- rabbit_binding:list({binary(vhost)}), X =/= <<>>])""")
        return {tuple(line.split("|")) for line in said.strip('"[]').split(";") if line}

    def _counts(self, vhost, item, quorum):
        """quorum: the same of a quorum queue's state S, whose info() is up to 5 s old."""
        said = self.eval(f"""lists:flatten([begin
            [{{name, {{resource, _, queue, N}}}}, {{_, I}}] = rabbit_amqqueue:info(Q, [name, {item}]),
            C = case amqqueue:get_type(Q) of
                rabbit_quorum_queue ->
                    {{ok, A, _}} = ra:consistent_query(amqqueue:get_pid(Q), fun(S) -> {quorum} end), A;
                _ -> I
            end,
            io_lib:format("~s ~b;", [N, C]) end || Q <- rabbit_amqqueue:list({binary(vhost)})])""")
        return {n: int(c) for n, c in (line.split(" ") for line in said.strip('"[]').split(";") if line)}

    def unacked(self, vhost):
        """name -> messages delivered but not acknowledged."""
        return self._counts(vhost, "messages_unacknowledged",
                            "case rabbit_fifo:query_messages_checked_out(S) of M when is_map(M) -> maps:size(M); M -> M end")

    def messages(self, vhost):
        """name -> messages that the broker still answers for, delivered or not."""
        return self._counts(vhost, "messages", "rabbit_fifo:query_messages_total(S)")
