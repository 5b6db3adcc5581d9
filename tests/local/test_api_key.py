"""The local stack's key: made once, kept for its owner alone, made again where it is lost or revoked."""

import stat

from creditrisk.key_store import is_good, list_keys, revoke_key
from creditrisk.settings import Settings
from local.api_key import NAME, key_file, own_key


def test_is_made_once_and_kept_for_its_owner_alone(market_settings: Settings) -> None:
    key = own_key(market_settings)
    assert own_key(market_settings) == key
    assert is_good(market_settings, key)
    assert stat.S_IMODE(key_file(market_settings).stat().st_mode) == 0o600
    assert [(kept.name, kept.scopes) for kept in list_keys(market_settings)] == [(NAME, ["admin"])]


def test_is_made_again_where_its_file_is_lost_and_the_lost_one_is_good_no_more(
    market_settings: Settings,
) -> None:
    lost = own_key(market_settings)
    key_file(market_settings).unlink()
    key = own_key(market_settings)
    assert (is_good(market_settings, lost), is_good(market_settings, key)) == (False, True)


def test_is_made_again_where_it_was_revoked(market_settings: Settings) -> None:
    revoked = own_key(market_settings)
    revoke_key(market_settings, NAME, by="a test")
    key = own_key(market_settings)
    assert key != revoked
    assert is_good(market_settings, key)
