"""The loader goes to the warehouse that dbt would go to."""

from __future__ import annotations

from pathlib import Path

import pytest

from loader.errors import UsageError
from loader.profile import Target, read_target

PROFILES = """
gp_to_crm:
  target: duckdb
  outputs:
    duckdb:
      type: duckdb
      schema: main
      path: "{{ env_var('GP_CRM_DUCKDB_PATH', 'gp_to_crm.duckdb') }}"
      threads: 4
    sqlserver:
      type: sqlserver
      driver: "{{ env_var('GP_CRM_SQLSERVER_DRIVER', 'ODBC Driver 18 for SQL Server') }}"
      server: "{{ env_var('GP_CRM_SQLSERVER_HOST') }}"
      port: "{{ env_var('GP_CRM_SQLSERVER_PORT', '1433') | as_number }}"
      database: "{{ env_var('GP_CRM_SQLSERVER_DATABASE', 'gp_crm') }}"
      schema: dbo
      user: "{{ env_var('GP_CRM_SQLSERVER_USER', '') }}"
      password: "{{ env_var('GP_CRM_SQLSERVER_PASSWORD', '') }}"
      encrypt: "{{ env_var('GP_CRM_SQLSERVER_ENCRYPT', 'true') | as_bool }}"
      trust_cert: "{{ env_var('GP_CRM_SQLSERVER_TRUST_CERT', 'false') | as_bool }}"
      retries: 1
    warehouse:
      type: snowflake
"""
SERVER = {"GP_CRM_SQLSERVER_HOST": "sql.contoso.com", "GP_CRM_SQLSERVER_PASSWORD": "1234"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "dbt_project.yml").write_text("name: gp_to_crm\nprofile: gp_to_crm\n")
    (project / "profiles.yml").write_text(PROFILES)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return project


def refused(project: Path, target: str | None = None, **environ: str) -> UsageError:
    with pytest.raises(UsageError) as error:
        read_target(project, None, target, environ)
    assert error.value.remedy
    return error.value


def write_target(project: Path, *lines: str) -> None:
    outputs = "\n".join(f"      {line}" for line in lines)
    (project / "profiles.yml").write_text(f"gp_to_crm:\n  target: dev\n  outputs:\n    dev:\n{outputs}\n")


def test_the_embedded_default_needs_nothing(project: Path) -> None:
    target = read_target(project, None, None, {})
    assert (target.type, target.name, target.schema, target.database) == ("duckdb", "duckdb", "main", "gp_to_crm")
    assert target.path == project / "gp_to_crm.duckdb"


def test_an_absolute_path_stays(project: Path, tmp_path: Path) -> None:
    target = read_target(project, None, None, {"GP_CRM_DUCKDB_PATH": str(tmp_path / "x.duckdb")})
    assert target.path == tmp_path / "x.duckdb"
    assert target.database == "x"


def test_sql_server(project: Path) -> None:
    target = read_target(project, None, "sqlserver", {**SERVER, "GP_CRM_SQLSERVER_TRUST_CERT": "True"})
    assert (target.host, target.port, target.database) == ("sql.contoso.com", 1433, "gp_crm")
    assert (target.encrypt, target.trust_cert, target.retries, target.user) == (True, True, 1, None)
    assert target.password is not None
    assert target.password.reveal() == "1234"
    assert "1234" not in repr(target)
    assert target.address == "SQL Server sql.contoso.com,1433, database gp_crm"


def test_a_flag_goes_before_the_environment_and_that_before_the_profile(project: Path) -> None:
    environ = {**SERVER, "DBT_TARGET": "sqlserver"}
    assert read_target(project, None, None, environ).name == "sqlserver"
    assert read_target(project, None, "duckdb", environ).name == "duckdb"


def test_profiles_are_looked_for_where_dbt_looks(project: Path, tmp_path: Path) -> None:
    def place(directory: Path) -> Path:
        directory.mkdir(parents=True)
        (directory / "profiles.yml").write_text(
            PROFILES.replace("schema: main", f"schema: {directory.name.strip('.')}")
        )
        return directory

    flag, environment, home = (place(tmp_path / name) for name in ("flag", "environment", "home/.dbt"))
    environ = {"DBT_PROFILES_DIR": str(environment)}
    assert read_target(project, flag, None, environ).schema == "flag"
    assert read_target(project, None, None, environ).schema == "environment"
    assert read_target(project, None, None, {}).schema == "main"
    (project / "profiles.yml").unlink()
    assert read_target(project, None, None, {}).schema == "dbt"
    (home / "profiles.yml").unlink()
    error = refused(project)
    assert str(project / "profiles.yml") in error.message
    assert "profiles.example.yml" in error.remedy


def test_the_example_works_as_its_head_and_the_readme_say(project: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    example = Path(__file__).resolve().parents[2] / "profiles.example.yml"
    (own / "profiles.yml").write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    environ = {"DBT_PROFILES_DIR": str(own), "GP_CRM_SQLSERVER_DRIVER": "/opt/driver.so"}
    for name in ("sqlserver_windows_login", "azure_sql", "sqlserver"):
        target = read_target(project, None, name, environ)
        assert (target.profiles_dir, target.driver) == (own, "/opt/driver.so")
    assert read_target(project, None, "sqlserver_mssql_python", environ).backend == "mssql-python"


def test_a_directory_without_profiles_is_not_skipped(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--profiles-dir"):
        read_target(project, tmp_path, None, {})
    assert "DBT_PROFILES_DIR" in refused(project, DBT_PROFILES_DIR=str(tmp_path)).message


def test_an_unknown_target_lists_those_there_are(project: Path) -> None:
    error = refused(project, "prod")
    assert "'prod'" in error.message
    assert "duckdb, sqlserver, warehouse" in error.remedy


def test_an_unknown_profile_lists_those_there_are(project: Path) -> None:
    (project / "dbt_project.yml").write_text("profile: other\n")
    error = refused(project)
    assert "'other'" in error.message
    assert "gp_to_crm" in error.remedy


def test_a_missing_variable_is_named_with_the_field_that_needs_it(project: Path) -> None:
    error = refused(project, "sqlserver")
    assert "GP_CRM_SQLSERVER_HOST" in error.message
    assert "sqlserver.server" in error.message


def test_only_the_chosen_target_is_rendered(project: Path) -> None:
    read_target(project, None, "duckdb", {})


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"GP_CRM_SQLSERVER_PORT": "abc"}, "'abc' is not a number"),
        ({"GP_CRM_SQLSERVER_ENCRYPT": "maybe"}, "'maybe' is not a boolean"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(project: Path, environ: dict[str, str], says: str) -> None:
    assert says in refused(project, "sqlserver", **SERVER, **environ).message


def test_another_kind_of_warehouse_is_refused(project: Path) -> None:
    assert "snowflake" in refused(project, "warehouse").message


def test_a_directory_that_is_not_a_project_is_refused(tmp_path: Path) -> None:
    assert "--project-dir" in refused(tmp_path).remedy


@pytest.mark.parametrize("text", ["a: [", "a: {{ env_var('X') }}\n", "- a\n"])
def test_bad_yaml_says_where(project: Path, text: str) -> None:
    (project / "profiles.yml").write_text(text)
    assert "profiles.yml" in refused(project).message


@pytest.mark.parametrize("text", ["{{ nope() }}", "{{ env_var( }}", "{{ var('x') }}"])
def test_a_bad_expression_says_where(project: Path, text: str) -> None:
    write_target(project, "type: duckdb", f'path: "{text}"')
    assert "outputs.dev.path" in refused(project).message


@pytest.mark.parametrize(
    "expression",
    [
        "{{ cycler.__init__.__globals__.os.system('touch PWNED') }}",
        "{{ env_var.__func__.__globals__['os'].system('touch PWNED') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ 1 / 0 }}",
    ],
)
def test_a_profile_is_only_read_and_runs_nothing(
    project: Path, expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    write_target(project, "type: duckdb", f'path: "{expression}"')
    assert "outputs.dev.path" in refused(project).message
    assert not (project / "PWNED").exists()


def test_a_var_has_its_default(project: Path) -> None:
    write_target(project, "type: duckdb", "path: \"{{ var('file', 'x.duckdb') }}\"")
    assert read_target(project, None, None, {}).path == project / "x.duckdb"


def test_a_filter_keeps_or_changes_the_kind_as_in_dbt(project: Path) -> None:
    write_target(
        project,
        "type: sqlserver",
        "host: h",
        "schema: dbo",
        "database: \"{{ env_var('D') }}\"",
        "port: \"{{ env_var('P') | as_number }}\"",
        "password: \"{{ env_var('D') | as_text }}\"",
        "windows_login: \"{{ env_var('W') | as_bool }}\"",
    )
    target = read_target(project, None, None, {"D": "0123", "P": "1444", "W": "false"})
    assert (target.database, target.port, target.windows_login) == ("0123", 1444, False)
    assert target.password is not None
    assert target.password.reveal() == "0123"


def test_attached_files_are_read(project: Path) -> None:
    write_target(
        project,
        "type: duckdb",
        "path: x.duckdb",
        "attach: [{path: company.duckdb, alias: company, read_only: true}]",
        "settings: {threads: 2}",
    )
    target = read_target(project, None, None, {})
    assert (target.attach[0].path, target.attach[0].alias, target.attach[0].read_only) == (
        str(project / "company.duckdb"),
        "company",
        True,
    )
    assert target.options == (("threads", 2),)


@pytest.mark.parametrize("path", [":memory:", "md:company"])
def test_what_is_not_a_file_is_refused(project: Path, path: str) -> None:
    assert repr(path) in refused(project, GP_CRM_DUCKDB_PATH=path).message


@pytest.mark.parametrize("name", ["gp.duckdb", "GP.db", "main.duckdb", "journal.duckdb", "main_journal.duckdb"])
def test_a_file_named_like_a_schema_is_refused(project: Path, name: str) -> None:
    error = refused(project, GP_CRM_DUCKDB_PATH=f"data/{name}")
    assert "ambiguous" in error.message
    assert "GP_CRM_DUCKDB_PATH" in error.remedy
    assert error.exit_code == 2


def test_a_file_named_like_the_targets_schema_is_refused(project: Path) -> None:
    write_target(project, "type: duckdb", "schema: sales", "path: sales.duckdb")
    assert "ambiguous" in refused(project).message


def test_a_target_is_frozen(project: Path) -> None:
    target: Target = read_target(project, None, None, {})
    with pytest.raises(AttributeError):
        target.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("password", ["hunter2\n", "\r\nhunter2", "hun\ufeffter2"])
def test_a_password_with_a_line_break_is_named_and_not_shown(project: Path, password: str) -> None:
    error = refused(project, "sqlserver", **{**SERVER, "GP_CRM_SQLSERVER_PASSWORD": password})
    assert "password" in error.message
    assert "a line break" in error.message or "U+FEFF" in error.message
    assert "hunter2" not in error.message + error.remedy


def test_a_password_may_have_blanks_and_quotes(project: Path) -> None:
    target = read_target(project, None, "sqlserver", {**SERVER, "GP_CRM_SQLSERVER_PASSWORD": "'hunter 2 "})
    assert target.password is not None
    assert target.password.reveal() == "'hunter 2 "
