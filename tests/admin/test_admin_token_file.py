"""The token that is made at start: only its user can read it, and the commands find it."""

import os
import stat

import pytest

from proxy.server.admin.token_file import (
    StateError,
    make_token,
    read_token,
    remove_token,
    state_directory,
    token_file,
)


def test_what_is_made_is_what_is_read(tmp_path):
    token = make_token(tmp_path / "state", 8081)
    assert read_token(tmp_path / "state", 8081) == token
    assert len(token.reveal()) >= 43


def test_file_and_folder_are_for_their_user_alone(tmp_path):
    directory = tmp_path / "a" / "state"
    make_token(directory, 8081)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(token_file(directory, 8081).stat().st_mode) == 0o600


def test_every_start_makes_another_token(tmp_path):
    first = make_token(tmp_path, 8081)
    second = make_token(tmp_path, 8081)
    assert first != second
    assert read_token(tmp_path, 8081) == second


def test_sidecars_at_several_ports_keep_several_tokens(tmp_path):
    first, second = make_token(tmp_path, 8081), make_token(tmp_path, 9081)
    assert (read_token(tmp_path, 8081), read_token(tmp_path, 9081)) == (first, second)


def test_where_no_sidecar_was_there_is_no_token(tmp_path):
    assert read_token(tmp_path, 8081) is None
    assert read_token(tmp_path / "nowhere", 8081) is None


def test_a_folder_that_anybody_can_write_to_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(StateError, match="anybody"):
        make_token(tmp_path, 8081)
    with pytest.raises(StateError, match="anybody"):
        read_token(tmp_path, 8081)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(StateError, match="another user"):
        make_token(tmp_path, 8081)
    with pytest.raises(StateError, match="another user"):
        read_token(tmp_path, 8081)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    file = tmp_path / "state"
    file.touch()
    with pytest.raises(StateError):
        make_token(file, 8081)


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    token_file(state, 8081).symlink_to(elsewhere)
    make_token(state, 8081)
    assert elsewhere.read_text() == "precious"
    assert not token_file(state, 8081).is_symlink()


def test_it_is_removed_at_the_end(tmp_path):
    token = make_token(tmp_path, 8081)
    remove_token(tmp_path, 8081, token)
    assert list(tmp_path.iterdir()) == []


def test_a_token_that_another_sidecar_has_made_since_stays(tmp_path):
    old = make_token(tmp_path, 8081)
    new = make_token(tmp_path, 8081)
    remove_token(tmp_path, 8081, old)
    assert read_token(tmp_path, 8081) == new


def test_removing_what_is_gone_does_no_harm(tmp_path):
    token = make_token(tmp_path, 8081)
    token_file(tmp_path, 8081).unlink()
    remove_token(tmp_path, 8081, token)
    assert read_token(tmp_path, 8081) is None


def test_no_message_holds_the_token(tmp_path):
    token = make_token(tmp_path, 8081)
    tmp_path.chmod(0o777)
    with pytest.raises(StateError) as refused:
        read_token(tmp_path, 8081)
    assert token.reveal() not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ({"XDG_RUNTIME_DIR": "/run/user/1", "HOME": "/home/a"}, "/run/user/1/sidestep"),
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/a"}, "/state/sidestep"),
        ({"XDG_RUNTIME_DIR": "", "HOME": "/home/a"}, "/home/a/.local/state/sidestep"),
    ],
)
def test_the_state_directory_is_where_the_desktop_specification_says(environment, directory):
    assert str(state_directory(None, environment)) == directory


def test_a_state_directory_that_was_chosen_wins(tmp_path):
    assert state_directory(tmp_path, {"XDG_RUNTIME_DIR": "/run/user/1"}) == tmp_path
