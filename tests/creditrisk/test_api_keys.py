"""API keys: only a key that was made is found, only its hash is kept, and commands make, list and revoke it."""

import asyncio
from contextlib import closing

import psycopg2
import pytest

from creditrisk.__main__ import main
from creditrisk.api_keys import ApiKey, KeyReader, KeyRing, Scope, allowed_by, new_key
from creditrisk.errors import KeyInvalid, StoreError, StoreUnavailable
from creditrisk.key_store import add_key, is_good, list_keys, revoke_key
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from tests.torn_server import torn_server


@pytest.fixture
def settings(market_settings: Settings) -> Settings:
    OnlineStore(market_settings).migrate()
    return market_settings


def ring_of(settings: Settings) -> KeyRing:
    """What a service reads."""

    async def read() -> KeyRing:
        reader = KeyReader(settings)
        try:
            return await reader.read(asyncio.get_running_loop().time() + 5)
        finally:
            reader.close()

    return asyncio.run(read())


class TestKeyRing:
    def test_finds_a_key_by_its_whole_text_alone(self) -> None:
        made, other = new_key(), new_key()
        key = ApiKey(made.id, "shop", 1, made.hash, allowed_by(["predict"]))
        ring = KeyRing([key])
        text = made.text.encode()
        assert ring.find(text) == key
        for wrong in (b"", text[:-1], text + b"x", text[:-1] + b"!", text.upper(), other.text.encode()):
            assert ring.find(wrong) is None
        assert ring.find(text[:12] + other.text.encode()[12:]) is None  # its id with another's secret

    def test_makes_keys_of_32_random_bytes(self) -> None:
        keys = {new_key().text for _ in range(100)}
        assert len({key.split("_", 2)[2] for key in keys}) == 100
        assert all(len(key) == 55 for key in keys)

    @pytest.mark.parametrize(
        ("scopes", "allowed"),
        [
            (["predict"], {Scope.PREDICT}),
            (["read"], {Scope.READ, Scope.METRICS}),
            (["metrics"], {Scope.METRICS}),
            (["predict", "metrics"], {Scope.PREDICT, Scope.METRICS}),
            (["admin"], set(Scope)),
            (["of newer code"], set()),
        ],
    )
    def test_knows_what_scopes_imply(self, scopes: list[str], allowed: set[Scope]) -> None:
        assert allowed_by(scopes) == allowed


class TestKeyStore:
    def test_keeps_the_hash_and_never_the_key(self, settings: Settings) -> None:
        text = add_key(settings, "shop", [Scope.PREDICT, Scope.READ], by="Ada")
        assert settings.publisher_database_url
        url = settings.publisher_database_url.get_secret_value()
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT api_keys::text FROM {settings.database_schema}.api_keys")
            (row,) = cursor.fetchone() or ("",)
        assert text not in row
        assert text[12:] not in row
        assert is_good(settings, text)

    def test_a_revoked_key_is_good_no_more_and_its_name_is_free(self, settings: Settings) -> None:
        first = add_key(settings, "shop", [Scope.PREDICT], by="Ada")
        revoke_key(settings, "shop", by="Bob")
        second = add_key(settings, "shop", [Scope.PREDICT], by="Ada")
        ring = ring_of(settings)
        assert ring.find(first.encode()) is None
        found = ring.find(second.encode())
        assert found is not None
        assert (found.name, found.allowed) == ("shop", {Scope.PREDICT})
        assert [(key.name, key.revoked_by) for key in list_keys(settings)] == [
            ("shop", "Bob"),
            ("shop", None),
        ]

    @pytest.mark.parametrize("name", ["", "-x", "two words", "a" * 64, "naïve"])
    def test_refuses_a_name_that_breaks_its_rule(self, settings: Settings, name: str) -> None:
        with pytest.raises(KeyInvalid, match="name: "):
            add_key(settings, name, [Scope.READ], by="Ada")

    def test_refuses_a_name_in_use_no_scope_and_an_unknown_key(self, settings: Settings) -> None:
        add_key(settings, "shop", [Scope.READ], by="Ada")
        with pytest.raises(KeyInvalid, match="'shop': there is a key of that name"):
            add_key(settings, "shop", [Scope.READ], by="Ada")
        with pytest.raises(KeyInvalid, match="scopes: none given"):
            add_key(settings, "other", [], by="Ada")
        with pytest.raises(KeyInvalid, match="'nobody': no good key"):
            revoke_key(settings, "nobody", by="Ada")

    def test_the_service_may_read_keys_and_change_none(self, settings: Settings) -> None:
        assert settings.service_database_url
        url = settings.service_database_url.get_secret_value()
        with closing(psycopg2.connect(url)) as connection:
            for statement in ("DELETE FROM {}.api_keys", "UPDATE {}.api_keys SET name = 'x'"):
                with (
                    connection,
                    connection.cursor() as cursor,
                    pytest.raises(psycopg2.errors.InsufficientPrivilege),
                ):
                    cursor.execute(statement.format(settings.database_schema))

    def test_says_when_there_is_no_table_yet(self, market_settings: Settings) -> None:
        with pytest.raises(StoreError, match="run python -m creditrisk migrate"):
            list_keys(market_settings)
        with pytest.raises(StoreUnavailable, match="run python -m creditrisk migrate"):
            ring_of(market_settings)

    def test_says_when_postgres_cannot_be_understood(self) -> None:
        async def read() -> None:
            async with torn_server() as url:
                reader = KeyReader(Settings(_env_file=None, service_database_url=url))
                await reader.read(asyncio.get_running_loop().time() + 5)

        with pytest.raises(StoreUnavailable, match=r"cannot be read \(InternalClientError\)"):
            asyncio.run(read())


def test_the_commands_show_a_key_once_and_list_and_revoke_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("creditrisk.__main__.load_settings", lambda: settings)
    assert main(["keys", "list"]) == 0
    assert "No API key has been made yet" in capsys.readouterr().out
    assert main(["keys", "add", "shop", "--scope", "predict", "--scope", "read", "--by", "Ada"]) == 0
    key = capsys.readouterr().out.strip()
    assert is_good(settings, key)
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert f"{key[3:11]}  shop  predict, read  made " in listed
    assert key[12:] not in listed
    assert main(["keys", "revoke", "shop", "--by", "Bob"]) == 0
    assert " by Bob" in capsys.readouterr().out
    assert not is_good(settings, key)
    assert main(["keys", "revoke", "shop", "--by", "Bob"]) == 1
    assert capsys.readouterr().err == "creditrisk: name: 'shop': no good key of that name or id\n"
