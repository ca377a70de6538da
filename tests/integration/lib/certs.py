"""Certificates for tests, made with the openssl program."""
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
        made = Identity(self.folder, name)
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        openssl("req", "-new", *KEY, "-keyout", made.key, "-out", request, "-subj", f"/CN={name}")
        extensions.write_text(f"subjectAltName={hosts}\n" if hosts else "")
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", made.cert)
        return made

    def self_signed(self, name, hosts="DNS:localhost,IP:127.0.0.1"):
        made = Identity(self.folder, name)
        openssl("req", "-x509", *KEY, "-keyout", made.key, "-out", made.cert, "-days", 30, "-subj", f"/CN={name}",
                "-addext", f"subjectAltName={hosts}")
        return made
