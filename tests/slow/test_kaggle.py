"""The download of the pairs from Kaggle, against a server here that has its faults.

The kaggle package is told to speak to http://localhost, and to do so through a proxy, which
is that server: so no port is taken that others may use, and nothing leaves this machine.
"""
import io
import json
import os
import socket
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT
from lowlight import cnn

# Not imported here: on a new machine two workers would make its folder at once.
pytestmark = pytest.mark.skipif(find_spec("kaggle") is None, reason="needs kaggle")
TOKEN, SIGNATURE = "KGAT_0123456789abcdef", "fedcba9876543210"


def zip_of(*names):
    """A zip file of small PNG photos under these names."""
    file, photo = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), "uint8")).save(
        photo, "PNG")
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, photo.getvalue())
    return file.getvalue()


PAIRS = zip_of("train3/low/a.png", "train3/normal/a.png")
OUTSIDE = zip_of("low/a.png", "normal/a.png", "../../outside.png", "/tmp/outside-too.png")


class Kaggle(BaseHTTPRequestHandler):
    """Answers as Kaggle does; server.answer: a status, or the bytes of a download."""

    def log_message(self, *args):
        pass

    def send(self, status, content, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers.get("Authorization"), request))
        if not isinstance(self.server.answer, bytes):
            self.send(self.server.answer, b"{}", Retry_After=0)
        elif self.path.endswith("IntrospectToken"):
            self.send(200, b'{"active": true, "username": "somebody"}')
        elif self.path.endswith("DownloadDataset"):     # as Kaggle: to its storage
            self.send(302, b"", Location="http://localhost/storage?signature=" + SIGNATURE)
        else:
            self.send(200, b'{"info": {}}')

    def do_GET(self):
        """The zip file; the first time only a part of it, where server.cuts says so."""
        content = self.server.answer
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        if self.server.cuts:
            self.server.cuts -= 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", '"one"')
            self.send_header("Accept-Ranges", "bytes")
            self.end_headers()
            self.wfile.write(content[:len(content) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.send(206 if start else 200, content[start:], ETag='"one"',
                      Accept_Ranges="bytes")


@pytest.fixture
def server(monkeypatch, tmp_path_factory):
    """The server; the embedded set that takes the place of a download has one photo."""
    monkeypatch.setattr(cnn, "SAMPLE_PHOTOS", cnn.SAMPLE_PHOTOS[1:2])
    with ThreadingHTTPServer(("127.0.0.1", 0), Kaggle) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.answer, server.cuts, server.seen = PAIRS, 0, []
        for name in {*os.environ} & {"NO_PROXY", "no_proxy", "KAGGLE_KEY"}:
            monkeypatch.delenv(name)
        for name, value in {"http_proxy": f"http://127.0.0.1:{server.server_port}",
                            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
                            "KAGGLE_CONFIG_DIR": str(tmp_path_factory.mktemp("keys")),
                            "KAGGLE_API_TOKEN": TOKEN}.items():
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()


def test_the_pairs_are_downloaded_once_and_found(server, tmp_path, capfd):
    for dataset in ("kaggle", "kaggle", "auto"):
        assert cnn.locate_dataset(dataset, tmp_path) == tmp_path / "dataset/lol"
    pair, = cnn.find_pairs(tmp_path / "dataset/lol")
    assert pair.name == "train3/a" and len(os.listdir(tmp_path / "dataset")) == 1
    assert sum(path.endswith("DownloadDataset") for path, *_ in server.seen) == 1
    assert {header for _, header, _ in server.seen} == {f"Bearer {TOKEN}"}
    assert TOKEN not in "".join(capfd.readouterr())


def test_a_download_that_is_cut_off_ends_whole(server, tmp_path, capfd):
    server.cuts = 1
    assert cnn.download_pairs(tmp_path)
    assert len(cnn.find_pairs(tmp_path / "lol")) == 1


@pytest.mark.parametrize("answer", [401, 429, PAIRS[:-40], b"<html>", zip_of("a.png")],
                         ids=["401", "429", "torn zip", "no zip", "no pairs"])
def test_a_download_that_fails_leaves_nothing(server, tmp_path, capfd, answer):
    """But one line, which neither shows the token nor what the server said."""
    server.answer = answer
    assert cnn.locate_dataset("auto", tmp_path) == tmp_path / "dataset/sample"
    assert server.seen
    assert os.listdir(tmp_path / "dataset") == ["sample"]
    out, err = capfd.readouterr()
    assert out.count("\n") == 1 and "kaggle datasets download aditidatta26/train3" in out
    assert not err and TOKEN not in out and SIGNATURE not in out
    with pytest.raises(ValueError, match="kaggle datasets download") as error:
        cnn.locate_dataset("kaggle", tmp_path)
    assert TOKEN not in str(error.value)


def test_a_folder_of_that_name_is_kept(server, tmp_path):
    """Such as one with the zip file in it."""
    (tmp_path / "dataset/lol").mkdir(parents=True)
    (tmp_path / "dataset/lol/train3.zip").write_bytes(PAIRS)
    with pytest.raises(ValueError, match="lol: holds no pairs; unpack them there"):
        cnn.locate_dataset("kaggle", tmp_path)
    assert not server.seen and os.listdir(tmp_path / "dataset/lol") == ["train3.zip"]


def test_nothing_is_written_outside_the_folder(server, tmp_path):
    server.answer = OUTSIDE
    assert cnn.download_pairs(tmp_path / "dataset")
    assert os.listdir(tmp_path) == ["dataset"] and not os.path.exists("/tmp/outside-too.png")


def test_without_credentials_nothing_is_asked(server, tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    assert cnn.locate_dataset("auto", tmp_path).name == "sample" and not server.seen
    assert capfd.readouterr().out == (
        "no pairs found: see dataset/README.md, or run kaggle datasets download "
        f"aditidatta26/train3 --unzip --path {tmp_path / 'dataset/lol'}\n")


def test_the_old_kind_of_credentials(server, tmp_path, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    keys = Path(os.environ["KAGGLE_CONFIG_DIR"], "kaggle.json")
    keys.write_text('{"username": "somebody", "key": "s3cret"}')
    keys.chmod(0o600)
    assert cnn.download_pairs(tmp_path / "dataset")
    assert all(header.startswith("Basic ") for _, header, _ in server.seen)


def test_the_metadata_of_the_kernel():
    """What `kaggle kernels push` needs, but for the name of the account."""
    metadata = json.loads((ROOT / "kernel-metadata.json").read_text())
    assert {"id", "title", "code_file", "language", "kernel_type", "is_private", "enable_gpu",
            "enable_internet", "dataset_sources"} <= metadata.keys()
    assert (ROOT / metadata["code_file"]).is_file()
    slug = metadata["title"].lower().replace(" ", "-")
    assert metadata["id"].endswith(f"/{slug}")
