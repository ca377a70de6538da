# SPDX-License-Identifier: Apache-2.0
"""What a new user does: the two commands of the README in a root that debootstrap has just made, of each Debian; and the
promises on the Debian that this machine is not."""
import re

import pytest

from lib import debian

pytestmark = pytest.mark.root


@pytest.fixture(name="root")
def root_fixture(request, tmp_path):
    root = debian.Root(tmp_path, request.param)
    yield root
    root.finish()


EACH_RELEASE = pytest.mark.parametrize("root", debian.RELEASES, indirect=True)


@pytest.mark.parametrize("root", [debian.other_release()], indirect=True)
def test_promises_on_the_other_debian(root):
    root.furnished()
    root.put_source()
    said = root.run("./run-tests --quick")
    assert re.search(r"^ok +pytest dev, promises .* passed", said, re.M), said


@pytest.mark.release
@EACH_RELEASE
def test_quickstart_in_a_fresh_root(root):
    root.fresh()
    root.put_source()
    said = root.run("./quickstart", status=1)
    assert said.count("\n") == 1 and "echo '127.0.0.1 localhost' >>/etc/hosts" in said, said
    root.know_localhost()
    # What it starts ends with the root, so its two lines are pasted in the same.
    said = root.run("""./quickstart >/tmp/said && tail -n 20 /tmp/said && eval "$(grep '^export ' /tmp/said)" &&
        vogeler-runner -n all -x os-release --wait && vogeler-admin show $(uname -n) --json | jq '.packages | length' &&
        ./quickstart stop""")
    assert re.search(r"^==> installing \d+ Debian packages", said, re.M), said


@pytest.mark.release
@EACH_RELEASE
def test_run_tests_in_a_fresh_root(root):
    root.fresh()
    root.put_source()
    root.know_localhost()
    said = root.run("./run-tests", patience=4 * debian.LONG)
    assert re.search(r"^run-tests: all passed in \d+ s", said, re.M), said
