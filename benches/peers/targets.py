"""The targets: nginx on every address of 127.10/16, plain and TLS."""

import subprocess
from pathlib import Path

from host import Process, free_port, listens, wait_until

NETWORK = "127.10.0.0/16"
HOST = "bench.test"  # the name in the certificate; limit.c asks for the same
HOSTS_PER_NET = 250  # leaves out .0 and .255

CONFIG = """
daemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
pid {dir}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    ssl_certificate {dir}/leaf.pem;
    ssl_certificate_key {dir}/leaf.key;
    ssl_session_cache off;
    ssl_session_tickets off;
    server {{
        listen 0.0.0.0:{http} backlog=16384;
        listen 0.0.0.0:{https} ssl backlog=16384;
        location / {{ return 200 "ok\\n"; }}
    }}
}}
"""


def addresses(count):
    """`count` addresses of NETWORK."""
    return [f"127.10.{1 + i // HOSTS_PER_NET}.{1 + i % HOSTS_PER_NET}" for i in range(count)]


def openssl(*args):
    subprocess.run(["openssl", *[str(a) for a in args]], check=True, capture_output=True)


def certificates(folder):
    """A P-256 authority and a leaf for HOST; returns the authority's path."""
    ca, leaf = folder / "ca.pem", folder / "leaf.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", folder / "ca.key", "-out", ca, "-days", 2,
            "-subj", "/CN=bench authority", "-addext", "basicConstraints=critical,CA:true")
    openssl("req", *key, "-keyout", folder / "leaf.key", "-out", folder / "leaf.csr",
            "-subj", f"/CN={HOST}")
    extensions = folder / "leaf.ext"
    extensions.write_text(f"subjectAltName=DNS:{HOST}\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", folder / "leaf.csr", "-CA", ca, "-CAkey", folder / "ca.key",
            "-CAcreateserial", "-days", 2, "-extfile", extensions, "-out", leaf)
    return ca


class Targets:
    """nginx, for as long as its `with` block lasts."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.http, self.https = free_port(), free_port()
        self.ca = certificates(self.folder)
        config = self.folder / "nginx.conf"
        config.write_text(CONFIG.format(dir=self.folder, http=self.http, https=self.https))
        self.nginx = Process(["nginx", "-p", self.folder, "-e", "stderr", "-c", config],
                             stderr=self.folder / "nginx.err")
        wait_until("nginx listens", lambda: listens(self.https), self.nginx)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.nginx.end()

    def port(self, kind):
        return {"http": self.http, "tcp": self.http, "https": self.https, "icmp": 0}[kind]
