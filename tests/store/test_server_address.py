"""URLs of stores on servers, keys, and deadlines from the environment."""

from __future__ import annotations

import pytest

from rise_store.errors import ConfigError
from rise_store.store import open_store
from rise_store.store.server.connection import Address, api_key, connect

KEY = "s3cret-key-of-the-test"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RISE_STORE_API_KEY", "QDRANT_API_KEY", "RISE_STORE_TIMEOUT", "RISE_STORE_ALLOW_INSECURE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:6333", Address("http", "localhost", 6333, 6334, "rise_store")),
        ("https://qdrant.example.org", Address("https", "qdrant.example.org", 6333, 6334, "rise_store")),
        ("https://q.example.org:443/books", Address("https", "q.example.org", 443, 444, "books")),
        ("http://10.0.0.1:7000/a-b_c/?grpc_port=9000", Address("http", "10.0.0.1", 7000, 9000, "a-b_c")),
        ("http://[::1]:6333", Address("http", "::1", 6333, 6334, "rise_store")),
        ("HTTPS://Q.example.org/Books", Address("https", "q.example.org", 6333, 6334, "Books")),
    ],
)
def test_a_url_says_where_and_which(url: str, address: Address) -> None:
    assert Address.parse(url) == address


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://", "is not the URL of a store"),
        ("HTTP://", "is not the URL of a store"),
        ("http://[::1", "is not the URL of a store"),
        ("localhost:6333", r"could be a server or a folder\. Write http://localhost:6333"),
        ("ftp://host/books", r"not opened over ftp://.*https://host:6333"),
        ("S3+x://bucket", r"not opened over S3\+x://"),
        ("http://host:x", "has a port that is no number"),
        ("http://host:70000", "has a port that is no number"),
        ("http://host:65535", "has a gRPC port"),
        ("http://host?grpc_port=", "has a gRPC port"),
        ("http://host?grpc_port=1&grpc_port=2", "is not the URL of a store"),
        ("http://host?port=1", "is not the URL of a store"),
        ("http://host#books", "is not the URL of a store"),
        ("http://host/a/b", "names a store 'a/b'"),
        ("http://host/a.b", r"names a store 'a\.b'"),
        ("http://host/-a", "names a store '-a'"),
    ],
)
def test_other_urls_are_refused_before_anything_is_sent(url: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        f"https://{KEY}@host",
        f"https://user:{KEY}@host:6333/books",
        f"https://user:{KEY}@[::1",
        f"https://user:/{KEY}@host",
    ],
)
def test_a_key_in_a_url_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(ConfigError, match="Put the key into RISE_STORE_API_KEY") as error:
        open_store(url)
    assert KEY not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://host?api-key={KEY}",
        f"http://host#{KEY}",
        f"http://host:x?api-key={KEY}",
        f"http://[::1?api-key={KEY}",
        f"http://host?grpc_port={KEY}",
        f"http://host/a.b?api-key={KEY}",
    ],
)
def test_options_that_may_be_a_key_are_not_told(url: str) -> None:
    with pytest.raises(ConfigError, match=r"'http://(host|\[::1)") as error:
        open_store(url)
    assert KEY not in str(error.value)


class TestKeys:
    @pytest.mark.parametrize("around", ["{}\n", " {} ", "{}\r\n"])
    def test_are_taken_without_space_around_them(self, around: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RISE_STORE_API_KEY", around.format(KEY))
        assert api_key() == KEY
        connect("http://localhost:6333").close()

    def test_of_nothing_but_space_are_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RISE_STORE_API_KEY", " \n")
        assert api_key() is None
        monkeypatch.setenv("QDRANT_API_KEY", KEY)
        assert api_key() == KEY

    @pytest.mark.parametrize("key", [f"{KEY}\u00e9", f"{KEY}\n{KEY}", f"\u201c{KEY}\u201d", f"{KEY}\x7f"])
    @pytest.mark.parametrize("variable", ["RISE_STORE_API_KEY", "QDRANT_API_KEY"])
    def test_that_no_header_can_carry_are_refused(
        self, key: str, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, key)
        with pytest.raises(ConfigError, match=f"{variable} holds characters that no key has") as error:
            connect("http://localhost:6333")
        assert KEY not in str(error.value)


class TestKeysInTheClear:
    @pytest.mark.parametrize("variable", ["RISE_STORE_API_KEY", "QDRANT_API_KEY"])
    @pytest.mark.parametrize("host", ["qdrant.example.org", "10.0.0.1", "[2001:db8::1]", "127.0.0.1.example.org"])
    def test_are_refused(self, variable: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(variable, KEY)
        with pytest.raises(ConfigError, match=r"in the clear to http://.*https.*RISE_STORE_ALLOW_INSECURE=1") as error:
            connect(f"http://{host}:6333")
        assert KEY not in str(error.value)

    @pytest.mark.parametrize(
        "url", ["http://localhost:6333", "http://127.0.0.1", "http://[::1]:6333", "https://qdrant.example.org"]
    )
    def test_are_none_on_this_machine_or_under_tls(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RISE_STORE_API_KEY", KEY)
        connect(url).close()

    def test_may_be_allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RISE_STORE_API_KEY", KEY)
        monkeypatch.setenv("RISE_STORE_ALLOW_INSECURE", "1")
        connect("http://qdrant.example.org:6333").close()

    @pytest.mark.parametrize("said", ["0", "no", ""])
    def test_are_not_allowed_by_another_word(self, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RISE_STORE_API_KEY", KEY)
        monkeypatch.setenv("RISE_STORE_ALLOW_INSECURE", said)
        with pytest.raises(ConfigError, match="in the clear"):
            connect("http://qdrant.example.org:6333")

    def test_without_a_key_there_is_nothing_to_refuse(self) -> None:
        connect("http://qdrant.example.org:6333").close()


@pytest.mark.parametrize("seconds", ["0", "-1", "x", "1.5", "100000"])
def test_deadlines_are_whole_seconds(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISE_STORE_TIMEOUT", seconds)
    with pytest.raises(ConfigError, match="RISE_STORE_TIMEOUT is"):
        connect("http://localhost:6333")
