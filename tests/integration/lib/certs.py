# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made with the openssl program."""
import datetime
import subprocess

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=60)
    assert done.returncode == 0, done.stdout.decode()


class Identity:
    def __init__(self, folder, name):
        self.cert = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"


class Authority(Identity):
    """A CA that signs what is asked for."""

    def __init__(self, folder, name="Test CA"):
        folder.mkdir(exist_ok=True)
        super().__init__(folder, name.replace(" ", "-"))
        self.folder = folder
        openssl("req", "-x509", *KEY, "-keyout", self.key, "-out", self.cert, "-days", 30, "-subj", f"/CN={name}")

    def sign(self, name, hosts="DNS:localhost,IP:127.0.0.1,IP:::1", days=30):
        """days: from now to its end; negative: it has been over for so long. (openssl x509 has no past, or not any more.)"""
        made = Identity(self.folder, name)
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        openssl("req", "-new", *KEY, "-keyout", made.key, "-out", request, "-subj", f"/CN={name}")
        extensions.write_text(f"subjectAltName={hosts}\n")
        now = datetime.datetime.now(datetime.timezone.utc)
        begin, end = (f"{now + datetime.timedelta(days=d):%y%m%d%H%M%SZ}" for d in (min(0, 2 * days), days))
        openssl("ca", "-batch", "-notext", "-config", self.settings(), "-in", request, "-out", made.cert, "-startdate", begin,
                "-enddate", end, *(["-extfile", extensions] if hosts else []))
        return made

    def settings(self):
        """Of openssl ca, which keeps books."""
        path = self.folder / "ca.conf"
        if not path.exists():
            (self.folder / "index.txt").touch()
            path.write_text(f"[ca]\ndefault_ca = this\n[this]\ncertificate = {self.cert}\nprivate_key = {self.key}\n"
                            f"database = {self.folder}/index.txt\nnew_certs_dir = {self.folder}\nrand_serial = yes\n"
                            "unique_subject = no\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n")
        return path

    def self_signed(self, name, hosts="DNS:localhost,IP:127.0.0.1"):
        made = Identity(self.folder, name)
        openssl("req", "-x509", *KEY, "-keyout", made.key, "-out", made.cert, "-days", 30, "-subj", f"/CN={name}",
                "-addext", f"subjectAltName={hosts}")
        return made
