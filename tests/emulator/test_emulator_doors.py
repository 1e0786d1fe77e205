"""What a web page, or another machine, cannot do with an emulator that runs here."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from starlette.requests import Request

from emulator import Control, Emulator
from emulator.doors import Refused
from tests.emulator.web_api import Client, control, organisation


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "snapshots"
    folder.mkdir()
    return folder


@pytest.fixture
def saving(folder: Path) -> Iterator[Emulator]:
    with Emulator(organisation(), control=Control(folder)) as running:
        yield running


def untouched(crm: Emulator) -> bool:
    return not crm.faults.waiting and crm.faults.latency_seconds == 0


@pytest.mark.parametrize("token", [None, "", "guess", "ü"])
def test_control_takes_the_token_of_this_start(crm: Emulator, token: str | None) -> None:
    headers = {} if token is None else {"X-Emulator-Token": token.encode()}
    for method, what in (
        ("POST", "faults"),
        ("GET", "requests"),
        ("POST", "token"),
        ("POST", "save"),
        ("GET", "nosuch"),
    ):
        reply = requests.request(
            method, f"{crm.url}/_emulator/{what}", json={"fault": "throttle", "path": "x"}, headers=headers, timeout=5
        )
        assert reply.status_code == 401
    assert untouched(crm)


def test_each_start_has_a_token_of_its_own_that_is_not_shown() -> None:
    assert Control().token != Control().token
    assert Control().token not in repr(Control())


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_pages_of_elsewhere_control_nothing(crm: Emulator, origin: str) -> None:
    reply = control(crm, "POST", "faults", json={"fault": "throttle"}, headers={"Origin": origin})
    assert reply.status_code == 403
    assert untouched(crm)
    assert control(crm, "GET", "faults", headers={"Origin": crm.url}).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_could_send_is_no_control(crm: Emulator, kind: str) -> None:
    reply = control(crm, "POST", "faults", data=b'{"fault": "throttle"}', headers={"Content-Type": kind})
    assert reply.status_code == 415
    assert untouched(crm)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.0.2.1", "[", ""])
def test_a_name_that_was_bound_to_this_machine_is_not_its_own(crm: Emulator, host: str) -> None:
    for path in ("_emulator/requests", "api/data/v9.2/WhoAmI", "x/oauth2/v2.0/devicecode", "x/oauth2/v2.0/token"):
        headers = {"Host": host, "X-Emulator-Token": crm.control.token, "Authorization": f"Bearer {crm.token}"}
        reply = requests.post(f"{crm.url}/{path}", headers=headers, timeout=5)
        assert reply.status_code in (400, 421), path
    assert crm.requests == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1", "[::1]:8765"])
def test_this_machines_names_are_let_in(crm: Emulator, host: str) -> None:
    headers = {"Host": host, "Authorization": f"Bearer {crm.token}"}
    assert requests.get(f"{crm.url}/api/data/v9.2/WhoAmI", headers=headers, timeout=5).status_code == 200


def test_an_emulator_for_other_machines_is_asked_for_by_address() -> None:
    with Emulator(organisation(), host="0.0.0.0") as crm:
        url = crm.url.replace("0.0.0.0", "127.0.0.1")
        for host, status in (("192.0.2.7:8765", 200), ("evil.example", 421)):
            headers = {"Host": host, "Authorization": f"Bearer {crm.token}"}
            assert requests.get(f"{url}/api/data/v9.2/WhoAmI", headers=headers, timeout=5).status_code == status


def asked_from(address: str, control: Control) -> Request:
    headers = [(b"host", b"192.0.2.7"), (b"x-emulator-token", control.token.encode())]
    return Request({"type": "http", "client": (address, 1), "headers": headers, "scheme": "http", "path": "/"})


def test_other_machines_control_nothing_unless_that_was_said() -> None:
    here, anywhere = Control(), Control(remote=True)
    with pytest.raises(Refused, match="its own machine"):
        here.check(asked_from("192.0.2.1", here))
    here.check(asked_from("127.0.0.1", here))
    here.check(asked_from("::1", here))
    anywhere.check(asked_from("192.0.2.1", anywhere))


def test_without_a_folder_nothing_is_saved(crm: Emulator, tmp_path: Path) -> None:
    assert control(crm, "POST", "save", json={"path": str(tmp_path / "x.json")}).status_code == 403
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_is_saved_below_the_folder(saving: Emulator, folder: Path) -> None:
    assert control(saving, "POST", "save", json={"path": "deep/down/x.json"}).status_code == 200
    saved = folder / "deep" / "down" / "x.json"
    with Emulator(saved) as again:
        assert Client(again).get("WhoAmI").status_code == 200
    if os.name == "posix":
        assert stat.S_IMODE(saved.stat().st_mode) == 0o600


def test_a_snapshot_keeps_the_permissions_that_somebody_gave_it(saving: Emulator, folder: Path) -> None:
    control(saving, "POST", "save", json={"path": "x.json"})
    (folder / "x.json").chmod(0o640)
    control(saving, "POST", "save", json={"path": "x.json"})
    assert os.name != "posix" or stat.S_IMODE((folder / "x.json").stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["../x.json", "a/../../x.json", "/etc/x.json", "", ".", "..", "a/..", "x\x00.json"])
def test_nothing_is_saved_beside_the_folder(saving: Emulator, folder: Path, name: str) -> None:
    assert control(saving, "POST", "save", json={"path": name}).status_code in (400, 403)
    assert [path.name for path in folder.parent.iterdir()] == ["snapshots"]


def test_links_lead_nowhere(saving: Emulator, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious", encoding="utf-8")
    (folder / "link").symlink_to(outside, target_is_directory=True)
    (folder / "file").symlink_to(outside / "precious")
    (folder / ".new.partial").symlink_to(outside / "precious")
    assert control(saving, "POST", "save", json={"path": "link/x.json"}).status_code == 403
    assert control(saving, "POST", "save", json={"path": "file"}).status_code == 200
    assert control(saving, "POST", "save", json={"path": "new"}).status_code == 200
    assert (outside / "precious").read_text(encoding="utf-8") == "precious"
    assert [path.name for path in outside.iterdir()] == ["precious"]
