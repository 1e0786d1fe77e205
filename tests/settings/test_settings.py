"""Every setting is checked, and whoever set it is told where and what to do."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.errors import UsageError
from loader.secrets import Secret
from loader.settings import Settings, read_settings

URL = "https://contoso.crm.dynamics.com"
CREDENTIALS = {"CRM_TENANT_ID": "t", "CRM_CLIENT_ID": "c", "CRM_CLIENT_SECRET": "hunter2"}
GIVEN = {"CRM_URL": URL, **CREDENTIALS}


def read(project: Path, flags: dict[str, object] | None = None, /, **environ: str) -> Settings:
    return read_settings(project, {**GIVEN, **environ}, flags)


def refused(project: Path, flags: dict[str, object] | None = None, /, **environ: str) -> UsageError:
    with pytest.raises(UsageError) as error:
        read(project, flags, **environ)
    assert error.value.exit_code == 2
    assert error.value.remedy
    return error.value


def test_defaults(tmp_path: Path) -> None:
    given = read(tmp_path)
    assert (given.api_version, given.auth, given.concurrency, given.batch_size) == (
        "v9.2",
        "client_secret",
        4,
        1000,
    )
    assert (given.timeout, given.max_wait, given.retention_days) == (120, 300, 90)
    assert given.authority == "https://login.microsoftonline.com"
    assert given.origins["CRM_TIMEOUT"] == "default"


def test_a_flag_goes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "loader.toml").write_text("crm_concurrency = 2\ncrm_batch_size = 20\ncrm_timeout = 200\n")
    given = read(
        tmp_path,
        {"CRM_CONCURRENCY": 8, "CRM_BATCH_SIZE": None},
        CRM_CONCURRENCY="6",
        CRM_BATCH_SIZE="60",
        CRM_TIMEOUT=" ",
    )
    assert (given.concurrency, given.batch_size, given.timeout) == (8, 60, 200)
    assert given.origins["CRM_CONCURRENCY"] == "flag"
    assert given.origins["CRM_BATCH_SIZE"] == "environment"
    assert given.origins["CRM_TIMEOUT"] == str(tmp_path / "loader.toml")


RANGES = {"CRM_CONCURRENCY": (1, 52), "CRM_BATCH_SIZE": (1, 1000), "CRM_TIMEOUT": (1, 3600), "CRM_MAX_WAIT": (1, 3600)}


@pytest.mark.parametrize("name", RANGES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=st.integers(-10, 5000))
def test_a_number_is_taken_exactly_within_its_range(tmp_path: Path, name: str, value: int) -> None:
    low, high = RANGES[name]
    if low <= value <= high:
        assert value in vars(read(tmp_path, **{name: str(value)})).values()
        assert read(tmp_path, {name: value}) == read(tmp_path, {name: str(value)})
    else:
        error = refused(tmp_path, **{name: str(value)})
        for part in (name, repr(str(value)), f"from {low} to {high}", "environment"):
            assert part in error.message


@pytest.mark.parametrize(
    ("value", "hours"), [("daily", 24), ("Always", 0), ("0", 0), ("1", 1), ("168", 168), (None, 24)]
)
def test_how_often_everything_is_compared(tmp_path: Path, value: str | None, hours: int) -> None:
    given = read(tmp_path) if value is None else read(tmp_path, CRM_FULL_COMPARE=value)
    assert given.full_compare == hours


@pytest.mark.parametrize("value", ["169", "-1", "weekly", "1.5"])
def test_everything_is_compared_once_a_week_at_least(tmp_path: Path, value: str) -> None:
    assert "daily" in refused(tmp_path, CRM_FULL_COMPARE=value).message


@pytest.mark.parametrize("value", ["4.0", "four", "4 4", "٤", "1e1", "9" * 30, "--4"])
def test_what_is_not_a_whole_number_is_refused(tmp_path: Path, value: str) -> None:
    assert "whole number" in refused(tmp_path, CRM_CONCURRENCY=value).message


def test_a_boolean_in_the_file_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "loader.toml").write_text("crm_concurrency = true\n")
    assert "loader.toml" in refused(tmp_path).message


@pytest.mark.parametrize(
    ("url", "root"),
    [
        (URL, URL),
        (URL + "/", URL),
        (URL + "/api/data/v9.2/", URL),
        ("https://crm.contoso.com/Contoso/api/data", "https://crm.contoso.com/Contoso"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost:8080/", "http://localhost:8080"),
    ],
)
def test_an_organisation_is_named_by_its_root(tmp_path: Path, url: str, root: str) -> None:
    assert read(tmp_path, CRM_URL=url).crm_url == root


@pytest.mark.parametrize(
    "url",
    [
        "http://contoso.crm.dynamics.com",
        "http://127.0.0.1.contoso.com",
        "http://localhost.contoso.com",
        "http://10.0.0.1",
        "http://[::2]",
        "http://[::ffff:127.0.0.1]",
        "http://2130706433",
        "ftp://contoso.com",
        "contoso.crm.dynamics.com",
        "https://",
        "https://contoso.com:port",
        "https://contoso.com/?a=b",
        "https://[::1",
    ],
)
def test_an_address_that_would_send_credentials_elsewhere_is_refused(tmp_path: Path, url: str) -> None:
    error = refused(tmp_path, CRM_URL=url)
    assert "CRM_URL" in error.message
    assert "environment" in error.message


PAGES = {
    URL + "/main.aspx": URL,
    URL + "/main.aspx?appid=1f2e&pagetype=entitylist": URL,
    URL + "/main.aspx#1": URL,
    URL + "/apps/sales": URL,
    URL + "/anything": URL,
    URL + "/api/data/v9.2/salesorders": URL,
    URL + "/api/data/v9.2/?$top=1": URL,
    URL + "?a=b": URL,
    "https://contoso.crm4.dynamics.com:443/Contoso": "https://contoso.crm4.dynamics.com:443",
    "https://crm.contoso.com/main.aspx": "https://crm.contoso.com",
    "https://crm.contoso.com/Contoso/main.aspx": "https://crm.contoso.com/Contoso",
    "https://crm.contoso.com/Contoso/apps/sales?x=1": "https://crm.contoso.com/Contoso",
    "https://crm.contoso.com/apps/sales": "https://crm.contoso.com",
}


@pytest.mark.parametrize("url", PAGES)
def test_the_address_of_a_page_is_refused_with_what_to_write(tmp_path: Path, url: str) -> None:
    error = refused(tmp_path, CRM_URL=url)
    assert error.remedy == f"Set CRM_URL to {PAGES[url]}."
    assert url in error.message
    assert read(tmp_path, CRM_URL=PAGES[url]).crm_url == PAGES[url]


def test_a_login_service_may_have_a_path_and_no_query(tmp_path: Path) -> None:
    assert read(tmp_path, CRM_AUTHORITY="https://sts.contoso.com/adfs/").authority == "https://sts.contoso.com/adfs"
    assert "Set CRM_AUTHORITY to https://a.com." in refused(tmp_path, CRM_AUTHORITY="https://a.com/?x=1").remedy
    assert "https" in refused(tmp_path, CRM_AUTHORITY="http://login.contoso.com").remedy


FLAWS = {
    "hunter2\n": "ends with a line break",
    "hunter2\r\n": "ends with a line break",
    "\nhunter2": "begins with a line break",
    "hun\nter2": "holds a line break",
    "\ufeffhunter2": "begins with an invisible character (U+FEFF)",
    "hun\u200bter2": "holds an invisible character (U+200B)",
    "\thunter2": "begins with an invisible character (U+0009)",
    "hunter2\x00": "ends with an invisible character (U+0000)",
}
SURROUNDED = {
    "hunter2 ": "ends with a blank",
    "hunter2\u00a0": "ends with a blank",
    '"hunter2"': 'begins with the quote "',
    "'hunter2'": "begins with the quote '",
    "hunter2'": "ends with the quote '",
    "“hunter2”": "begins with the quote “",
}
PASSWORDS = {
    "CRM_CERTIFICATE_PASSWORD": {"CRM_AUTH": "certificate", "CRM_CERTIFICATE": __file__},
    "CRM_PASSWORD": {"CRM_AUTH": "ntlm", "CRM_USER": "CONTOSO\\loader"},
}


@pytest.mark.parametrize("value", [*FLAWS, *SURROUNDED])
def test_a_client_secret_with_something_around_it_is_named_and_not_shown(tmp_path: Path, value: str) -> None:
    error = refused(tmp_path, CRM_CLIENT_SECRET=value)
    assert "CRM_CLIENT_SECRET (environment) " + {**FLAWS, **SURROUNDED}[value] in error.message
    assert "hunter2" not in error.message + error.remedy


@pytest.mark.parametrize("name", ["CRM_TENANT_ID", "CRM_CLIENT_ID", "CRM_USER", "CRM_ACCESS_TOKEN"])
@pytest.mark.parametrize("value", ["hun\nter2", *[value for value in SURROUNDED if value[1:-1] == "hunter2"]])
def test_ids_and_tokens_with_something_in_them_are_named(tmp_path: Path, name: str, value: str) -> None:
    error = refused(tmp_path, **{name: value})
    assert f"{name} (environment) " + {**FLAWS, **SURROUNDED}[value] in error.message
    assert read(tmp_path, **{name: " hunter2\n"}) == read(tmp_path, **{name: "hunter2"})


@pytest.mark.parametrize("name", PASSWORDS)
@pytest.mark.parametrize("value", [*FLAWS, *SURROUNDED])
def test_a_password_may_have_blanks_and_quotes_around_it_which_is_told(tmp_path: Path, name: str, value: str) -> None:
    environ = {**PASSWORDS[name], name: value}
    if value in FLAWS:
        assert FLAWS[value] in refused(tmp_path, **environ).message
        return
    given = read(tmp_path, **environ)
    assert vars(given)[name.lower().removeprefix("crm_")].reveal() == value
    (doubt,) = given.doubts
    assert f"{name} (environment) {SURROUNDED[value]}" in doubt
    assert "hunter2" not in doubt


def test_good_secrets_leave_no_doubt(tmp_path: Path) -> None:
    for environ in PASSWORDS.values():
        given = read(tmp_path, **environ, CRM_PASSWORD='it\'s "fine" so', CRM_CERTIFICATE_PASSWORD="a b")
        assert given.doubts == []


def test_a_password_in_the_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    error = refused(tmp_path, CRM_URL="https://me:hunter2@contoso.com")
    assert "hunter2" not in error.message + error.remedy


@pytest.mark.parametrize(
    ("auth", "needed"),
    [
        ("client_secret", {"CRM_TENANT_ID": "t", "CRM_CLIENT_ID": "c", "CRM_CLIENT_SECRET": "s"}),
        ("certificate", {"CRM_TENANT_ID": "t", "CRM_CLIENT_ID": "c", "CRM_CERTIFICATE": __file__}),
        ("device_code", {"CRM_TENANT_ID": "t", "CRM_CLIENT_ID": "c"}),
        ("token", {"CRM_ACCESS_TOKEN": "s"}),
        ("ntlm", {"CRM_USER": "CONTOSO\\loader", "CRM_PASSWORD": "s"}),
    ],
)
def test_each_way_to_sign_in_needs_its_credentials(tmp_path: Path, auth: str, needed: dict[str, str]) -> None:
    environ = {"CRM_URL": URL, "CRM_AUTH": auth, **needed}
    assert read_settings(tmp_path, environ).auth == auth
    for name in needed:
        with pytest.raises(UsageError, match=name) as error:
            read_settings(tmp_path, {key: value for key, value in environ.items() if key != name})
        assert auth in error.value.message
    with pytest.raises(UsageError) as error:
        read_settings(tmp_path, {"CRM_URL": URL, "CRM_AUTH": auth})
    assert all(name in error.value.message for name in needed)


def test_without_crm_nothing_is_missing_but_a_wrong_value_is_still_wrong(tmp_path: Path) -> None:
    assert read_settings(tmp_path, {}, crm_needed=False).crm_url == ""
    with pytest.raises(UsageError):
        read_settings(tmp_path, {"CRM_TIMEOUT": "0"}, crm_needed=False)


def test_an_unknown_way_to_sign_in_gets_a_suggestion(tmp_path: Path) -> None:
    error = refused(tmp_path, CRM_AUTH="clientsecret")
    assert "Did you mean client_secret?" in error.remedy
    assert "ntlm" in error.remedy


def test_a_version_needs_its_v(tmp_path: Path) -> None:
    assert "v9.2" in refused(tmp_path, CRM_API_VERSION="9.2").remedy


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere.pem" in refused(tmp_path, CRM_CA_BUNDLE="nowhere.pem").message


def test_a_path_in_the_file_is_relative_to_the_project(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "loader.toml").write_text('crm_ca_bundle = "ca.pem"\n')
    assert read(tmp_path).ca_bundle == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("crm_concurency = 4", "Did you mean crm_concurrency?"),
        ("concurrency = 4", "Did you mean crm_concurrency?"),
        ("CRM_URL = 'x'", "Did you mean crm_url?"),
        ("[database]", "Settings are crm_access_token"),
    ],
)
def test_an_unknown_key_in_the_file_is_refused_with_a_suggestion(tmp_path: Path, line: str, hint: str) -> None:
    (tmp_path / "loader.toml").write_text(line + "\n")
    assert hint in refused(tmp_path).remedy


@pytest.mark.parametrize("name", ["crm_client_secret", "crm_access_token", "crm_password", "crm_certificate_password"])
def test_a_secret_in_the_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "loader.toml").write_text(f'{name} = "hunter2"\n')
    error = refused(tmp_path)
    assert name.upper() in error.remedy
    assert "hunter2" not in error.message + error.remedy


def test_a_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    (tmp_path / "loader.toml").write_text("crm_url = \n")
    assert "line 1" in refused(tmp_path).message


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    given = read(tmp_path)
    assert given.client_secret is not None
    assert given.client_secret.reveal() == "hunter2"
    shown = f"{given} {given!r} {given.client_secret} {given.client_secret!r}"
    assert "hunter2" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(given.client_secret)
    assert Secret("a") == Secret("a") != Secret("b")
