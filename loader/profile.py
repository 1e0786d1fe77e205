"""Which warehouse: dbt's own profiles.yml, rendered without importing dbt."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from loader.errors import UsageError
from loader.flaws import flaw
from loader.secrets import Secret

Dialect = Literal["duckdb", "sqlserver"]
DEFAULT_DRIVER = "ODBC Driver 18 for SQL Server"


@dataclass(frozen=True)
class Attachment:
    """Another database file that dbt attaches to DuckDB; views may read from it."""

    path: str
    alias: str | None = None
    type: str | None = None
    read_only: bool = False


@dataclass(frozen=True)
class Target:
    """One output of profiles.yml: the warehouse that dbt builds in and the loader reads."""

    type: Dialect
    name: str
    schema: str
    database: str
    profiles_dir: Path = Path(".")
    """The directory of this profiles.yml. The loader passes it to dbt."""
    # DuckDB
    path: Path | None = None
    attach: tuple[Attachment, ...] = ()
    options: tuple[tuple[str, object], ...] = ()
    # SQL Server
    host: str = ""
    port: int = 1433
    user: str | None = None
    password: Secret | None = None
    driver: str = DEFAULT_DRIVER
    encrypt: bool = True
    trust_cert: bool = False
    windows_login: bool = False
    login_timeout: int = 15
    query_timeout: int = 0
    retries: int = 3
    backend: Literal["pyodbc", "mssql-python"] = "pyodbc"
    authentication: str = "sql"
    client_id: str | None = None
    client_secret: Secret | None = None
    access_token: Secret | None = None

    @property
    def address(self) -> str:
        """The warehouse in words, without credentials."""
        if self.type == "duckdb":
            return f"DuckDB file {self.path}"
        return f"SQL Server {self.host},{self.port}, database {self.database}"


def read_target(
    project_dir: Path,
    profiles_dir: Path | None = None,
    target: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Target:
    """The target dbt would use. Raises UsageError with what to correct.

    profiles.yml is looked for in `profiles_dir`, $DBT_PROFILES_DIR, the project and ~/.dbt, in this order; the target
    is `target`, $DBT_TARGET or the profile's own.
    """
    environ = os.environ if environ is None else environ
    render = _Renderer(environ)
    profile_name = _profile_name(project_dir, environ, render)
    path = _profiles_file(project_dir, profiles_dir, environ)
    profile = _profile(path, profile_name)
    outputs = profile.get("outputs")
    if not isinstance(outputs, dict) or not outputs:
        raise UsageError(f"{path}: profile {profile_name!r} has no outputs.", "Add a target under `outputs:`.")
    name = (
        target
        or environ.get("DBT_TARGET")
        or str(render(profile.get("target", "default"), f"{path}: {profile_name}.target"))
    )
    if not isinstance(outputs.get(name), dict):
        raise UsageError(
            f"{path}: profile {profile_name!r} has no target {name!r}.",
            f"Targets are {', '.join(sorted(map(str, outputs)))}; choose one with --target.",
        )
    output = {
        str(key): render(value, f"{path}: {profile_name}.outputs.{name}.{key}") for key, value in outputs[name].items()
    }
    found = _target(output, f"{path}: target {name!r}", name, project_dir)
    return replace(found, profiles_dir=path.parent.absolute())


# ------------------------------------------------------------------------------------------------------ finding it


def _profile_name(project_dir: Path, environ: Mapping[str, str], render: _Renderer) -> str:
    path = project_dir / "dbt_project.yml"
    if not path.is_file():
        raise UsageError(
            f"{project_dir} is not a dbt project: it has no dbt_project.yml.",
            "Run inside the project, or name it with --project-dir.",
        )
    project = _read_yaml(path)
    name = environ.get("DBT_PROFILE") or render(project.get("profile"), f"{path}: profile")
    if not isinstance(name, str) or not name:
        raise UsageError(f"{path} names no profile.", "Add `profile: gp_to_crm`.")
    return name


def _profiles_file(project_dir: Path, profiles_dir: Path | None, environ: Mapping[str, str]) -> Path:
    if profiles_dir is not None:
        return _must_exist(profiles_dir / "profiles.yml", "--profiles-dir")
    if environ.get("DBT_PROFILES_DIR"):
        return _must_exist(Path(environ["DBT_PROFILES_DIR"]).expanduser() / "profiles.yml", "DBT_PROFILES_DIR")
    tried = [project_dir / "profiles.yml", Path.home() / ".dbt" / "profiles.yml"]
    for path in tried:
        if path.is_file():
            return path
    raise UsageError(
        f"No profiles.yml: looked for {' and '.join(map(str, tried))}.",
        "Copy profiles.example.yml to profiles.yml in the project, or name its directory with --profiles-dir.",
    )


def _must_exist(path: Path, named_by: str) -> Path:
    if not path.is_file():
        raise UsageError(f"{path} does not exist ({named_by}).", f"Correct {named_by}: a directory with profiles.yml.")
    return path


def _profile(path: Path, name: str) -> Mapping[str, Any]:
    profiles = _read_yaml(path)
    profile = profiles.get(name)
    if not isinstance(profile, dict):
        there = ", ".join(sorted(str(key) for key in profiles if key != "config")) or "none"
        raise UsageError(
            f"{path} has no profile {name!r}, which dbt_project.yml names.",
            f"Profiles there: {there}. Add {name!r}, or correct `profile:` in dbt_project.yml.",
        )
    return profile


def _read_yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        # libyaml, where PyYAML has it, reads dbt_project.yml in a tenth of the time.
        content = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "Make it a readable UTF-8 file.") from None
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f", line {place.line + 1}, column {place.column + 1}" if place else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise UsageError(f"{path}{where}: {problem}.", "Correct the YAML; Jinja expressions need quotes.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a mapping.", "It begins with the profile's or project's keys.")
    return content


# ------------------------------------------------------------------------------------------------------- rendering


@dataclass(frozen=True)
class _Marked:
    """Text that one of dbt's filters marks for conversion. Without a filter, a rendered value stays text."""

    value: object
    kind: Literal["as_bool", "as_number", "as_native"]

    def converted(self) -> object:
        import yaml

        native = yaml.safe_load(self.value) if isinstance(self.value, str) else self.value
        expected = {"as_bool": (bool,), "as_number": (int, float), "as_native": (object,)}[self.kind]
        if not isinstance(native, expected) or (self.kind == "as_number" and isinstance(native, bool)):
            raise ValueError(
                f"{self.value!r} is not a {'boolean' if self.kind == 'as_bool' else 'number'} ({self.kind})"
            )
        return native

    def __str__(self) -> str:
        return str(self.value)


class _MissingVariable(Exception):
    pass


class _Renderer:
    """Renders the `{{ }}` of one YAML value as dbt does."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._environment: Any = None

    def __call__(self, value: object, where: str) -> object:
        if isinstance(value, dict):
            return {key: self(item, f"{where}.{key}") for key, item in value.items()}
        if isinstance(value, list):
            return [self(item, f"{where}[{index}]") for index, item in enumerate(value)]
        if not isinstance(value, str) or not re.search(r"{[{%#]", value):
            return value
        return self._rendered(value, where)

    def _rendered(self, text: str, where: str) -> object:
        import jinja2

        try:
            return self._jinja().from_string(text).render(env_var=self._env_var, var=_var)
        except _MissingVariable as error:
            raise UsageError(
                f"{where} needs the environment variable {error}, which is not set.",
                f"Set {error}, or give env_var a default there.",
            ) from None
        except jinja2.TemplateError as error:
            raise UsageError(
                f"{where}: {error.message or error}.",
                "A profile knows env_var('NAME', 'default'), var('NAME', 'default') and Jinja's filters.",
            ) from None
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            raise UsageError(f"{where}: {error}.", "Correct the value or the filter.") from None

    def _env_var(self, name: str, default: object = None) -> object:
        if name in self._environ:
            return self._environ[name]
        if default is None:
            raise _MissingVariable(name)
        return default

    def _jinja(self) -> Any:
        if self._environment is None:
            import jinja2
            from jinja2.nativetypes import NativeEnvironment, NativeTemplate
            from jinja2.sandbox import ImmutableSandboxedEnvironment

            class Environment(ImmutableSandboxedEnvironment, NativeEnvironment):
                """Prevents the file from running anything: templates get no Python attributes and no globals."""

                concat = staticmethod(_joined)

            class Template(NativeTemplate):
                environment_class = Environment

            Environment.template_class = Template
            self._environment = Environment(undefined=jinja2.StrictUndefined)
            self._environment.globals.clear()
            self._environment.filters.update(
                as_text=str,
                as_bool=lambda value: _Marked(value, "as_bool"),
                as_number=lambda value: _Marked(value, "as_number"),
                as_native=lambda value: _Marked(value, "as_native"),
            )
        return self._environment


def _var(name: str, default: object = None) -> object:
    """dbt's `var` in a profile has only values from dbt's command line, of which the loader has none."""
    if default is None:
        raise ValueError(f"var {name!r} is not set")
    return default


def _joined(values: Iterable[object]) -> object:
    parts = list(values)
    if len(parts) == 1 and isinstance(parts[0], _Marked):
        return parts[0].converted()
    return "".join(map(str, parts))


# --------------------------------------------------------------------------------------------------- what it says


class _Expected(ValueError):
    """A value of the wrong kind. Says which kind the key needs."""


class _Flawed(ValueError):
    """A secret that contains something that does not belong to it. Says what, without showing the value."""


def _text(value: object) -> str:
    if isinstance(value, (dict, list)):
        raise _Expected("a text")
    return str(value)


def _whole_number(value: object) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", str(value).strip()):
        raise _Expected("a whole number")
    return int(str(value))


def _boolean(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in ("true", "false", "yes", "no", "1", "0"):
        raise _Expected("true or false")
    return text in ("true", "yes", "1")


def _secret(value: object) -> Secret:
    found = flaw(str(value), strict=False)
    if found:
        raise _Flawed(found)
    return Secret(str(value))


_Text = Annotated[str, BeforeValidator(_text)]
_WholeNumber = Annotated[int, BeforeValidator(_whole_number)]
_Boolean = Annotated[bool, BeforeValidator(_boolean)]
_Secret = Annotated[Secret, BeforeValidator(_secret)]

_ALIASES = {
    "UID": "user",
    "username": "user",
    "PWD": "password",
    "pass": "password",
    "server": "host",
    "trusted_connection": "windows_login",
    "auth": "authentication",
    "app_id": "client_id",
    "app_secret": "client_secret",
    "TrustServerCertificate": "trust_cert",
    "dbname": "database",
}


class _Keys(BaseModel):
    """Keys of profiles.yml, under all the names that dbt's adapters accept. A blank value counts as missing."""

    model_config = ConfigDict(arbitrary_types_allowed=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _under_one_name(cls, values: Mapping[str, object]) -> Mapping[str, object]:
        return {_ALIASES.get(key, key): value for key, value in values.items() if value not in (None, "")}


class _Attached(_Keys):
    path: _Text
    alias: _Text | None = None
    type: _Text | None = None
    read_only: _Boolean = False


class _DuckDb(_Keys):
    path: _Text = ":memory:"
    database: _Text | None = None
    schema_: _Text = Field("main", alias="schema")
    settings: dict[str, object] = {}
    attach: list[dict[str, object]] = []
    retries: dict[str, object] | _WholeNumber = 0
    """A number, or dbt-duckdb's own mapping, which does not concern the loader."""


class _SqlServer(_Keys):
    host: _Text
    database: _Text
    schema_: _Text = Field(alias="schema")
    port: _WholeNumber = 1433
    user: _Text | None = None
    password: _Secret | None = None
    driver: _Text = DEFAULT_DRIVER
    encrypt: _Boolean = True
    trust_cert: _Boolean = False
    windows_login: _Boolean = False
    login_timeout: _WholeNumber = 0
    query_timeout: _WholeNumber = 0
    retries: _WholeNumber = 3
    backend: Literal["pyodbc", "mssql-python"] = "pyodbc"
    authentication: _Text = "sql"
    client_id: _Text | None = None
    client_secret: _Secret | None = None
    access_token: _Secret | None = None


_Kind = TypeVar("_Kind", bound=_Keys)
_WANTED = {"dict_type": "a mapping", "list_type": "a list of mappings with `path`"}


def _read(kind: type[_Kind], values: Mapping[str, object], where: str) -> _Kind:
    """Raises UsageError with the first key that is missing or wrong."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[-1]
        key, context = str(first["loc"][0]), first.get("ctx", {})
        cause = context.get("error")
        if first["type"] == "missing":
            raise UsageError(f"{where} has no {key}.", f"Add `{key}:` to the target.") from None
        if isinstance(cause, _Flawed):
            raise UsageError(
                f"{where}: {key} {cause}, which does not belong to it.",
                "Correct the environment variable or the file that it comes from; `printf %s` writes no line break.",
            ) from None
        wanted = _WANTED.get(first["type"]) or cause or context["expected"]
        raise UsageError(f"{where}: {key} is {first['input']!r}.", f"Set {key} to {wanted}.") from None


def _target(output: Mapping[str, object], where: str, name: str, project_dir: Path) -> Target:
    kind = output.get("type")
    if kind in (None, ""):
        raise UsageError(f"{where} has no type.", "Add `type:` to the target.")
    if kind == "duckdb":
        return _duckdb(_read(_DuckDb, output, where), where, name, project_dir)
    if kind == "sqlserver":
        return _sqlserver(_read(_SqlServer, output, where), name)
    raise UsageError(
        f"{where} is of type {kind!r}.",
        "The loader reads duckdb and sqlserver; choose such a target with --target.",
    )


def _duckdb(given: _DuckDb, where: str, name: str, project_dir: Path) -> Target:
    if given.path == ":memory:" or re.match(r"[a-z]{2,}:", given.path):
        raise UsageError(
            f"{where}: path {given.path!r} is not a file.",
            "dbt and the loader share a DuckDB file: set GP_CRM_DUCKDB_PATH or `path:`.",
        )
    path = (project_dir / Path(given.path).expanduser()).absolute()
    _refuse_schema_name(path, given.schema_)
    return Target(
        type="duckdb",
        name=name,
        schema=given.schema_,
        database=given.database or path.stem,
        path=path,
        attach=tuple(_attachment(entry, f"{where}, attach", project_dir) for entry in given.attach),
        options=tuple(sorted(given.settings.items())),
        retries=given.retries if isinstance(given.retries, int) else 0,
    )


def _attachment(entry: Mapping[str, object], where: str, project_dir: Path) -> Attachment:
    given = _read(_Attached, entry, where)
    is_address = re.match(r"[a-z]\w+:", given.path)
    path = given.path if is_address else str((project_dir / Path(given.path).expanduser()).absolute())
    return Attachment(path, given.alias, given.type, given.read_only)


def _sqlserver(given: _SqlServer, name: str) -> Target:
    values = {key: getattr(given, key) for key in _SqlServer.model_fields if key != "schema_"}
    values["login_timeout"] = given.login_timeout or 15
    return Target(type="sqlserver", name=name, schema=given.schema_, **values)


def _refuse_schema_name(path: Path, schema: str) -> None:
    """DuckDB names a database after its file: `gp.SOP10100` in gp.duckdb could be a schema's or a database's table."""
    taken = {"gp", "main", "journal", "xref", "information_schema", "pg_catalog", "system", "temp"}
    taken |= {schema.lower(), f"{schema.lower()}_journal"}
    if path.stem.lower() in taken:
        raise UsageError(
            f"The DuckDB file {path} is named like a schema in it ({path.stem}), which makes table names ambiguous.",
            "Rename the file and set GP_CRM_DUCKDB_PATH, for instance to gp_to_crm.duckdb.",
        )
