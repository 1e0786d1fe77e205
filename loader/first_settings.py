"""What `loader init` asks for, tries and writes: the settings of the warehouse, of GP's database and of CRM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from loader.context import Context, Doing
from loader.environment import FILE_NAME, Environ, env_file, write_env
from loader.errors import LoaderError, UsageError
from loader.settings import REQUIRED, SETTINGS, is_secret


@dataclass(frozen=True)
class Question:
    """One setting to be asked for. A secret has no flag and is asked for without echo."""

    name: str
    text: str
    default: str = ""
    secret: bool = False
    optional: bool = False

    @property
    def flag(self) -> str:
        """The flag by which it can be given, `--sqlserver-host` for GP_CRM_SQLSERVER_HOST."""
        name = self.name.removeprefix("GP_CRM_").removeprefix("DBT_")
        return "--" + name.lower().replace("_", "-")


TARGET = Question("DBT_TARGET", "Warehouse: sqlserver, or duckdb to try it out", "sqlserver")
WAREHOUSE: Mapping[str, tuple[Question, ...]] = {
    "duckdb": (Question("GP_CRM_DUCKDB_PATH", "DuckDB file with GP's tables in its schema gp", "gp_to_crm.duckdb"),),
    "sqlserver": (
        Question("GP_CRM_SQLSERVER_HOST", "SQL Server's host", "localhost"),
        Question("GP_CRM_SQLSERVER_PORT", "Its port", "1433"),
        Question("GP_CRM_SQLSERVER_DATABASE", "Database for dbt and the loader, not GP's own", "gp_to_crm"),
        Question("GP_CRM_SQLSERVER_USER", "SQL login"),
        Question("GP_CRM_SQLSERVER_PASSWORD", "Its password", secret=True),
        Question("GP_CRM_GP_DATABASE", "GP's company database, such as TWO"),
    ),
}
AUTH = Question("CRM_AUTH", "How to sign in: client_secret, certificate, device_code, token or ntlm", "client_secret")
CRM_URL = Question("CRM_URL", "CRM's address, such as https://contoso.crm.dynamics.com")
_CERTIFICATE_PASSWORD = Question("CRM_CERTIFICATE_PASSWORD", "Its password, empty for none", secret=True, optional=True)
_TEXTS = {
    "CRM_TENANT_ID": "Tenant, as an id or a domain",
    "CRM_CLIENT_ID": "Application (client) id",
    "CRM_CLIENT_SECRET": "Its secret",
    "CRM_CERTIFICATE": "Path of the certificate with its key",
    "CRM_ACCESS_TOKEN": "The token",
    "CRM_USER": r"User, as DOMAIN\user",
    "CRM_PASSWORD": "Its password",
}
CREDENTIALS: Mapping[str, tuple[Question, ...]] = {
    auth: (
        *(Question(name, _TEXTS[name], secret=is_secret(SETTINGS[name])) for name in names),
        *([_CERTIFICATE_PASSWORD] if auth == "certificate" else []),
    )
    for auth, names in REQUIRED.items()
}


def flags() -> tuple[Question, ...]:
    """The questions that a flag can answer, each once."""
    asked = (*(each for part in WAREHOUSE.values() for each in part), CRM_URL, AUTH)
    credentials = (each for part in CREDENTIALS.values() for each in part)
    return tuple({each.name: each for each in (*asked, *credentials) if not each.secret}.values())


@dataclass
class FirstSettings:
    """The settings in the making.

    `answers` holds those given by flag until they prove wrong. `ask` gets a question whose default is what is set
    already, and returns the answer; it is None where nobody can be asked.
    """

    project_dir: Path
    process: Mapping[str, str]
    answers: Mapping[str, str]
    ask: Callable[[Question], str] | None
    say: Callable[[str], None]
    doing: Doing

    def __post_init__(self) -> None:
        self.path = self.project_dir / FILE_NAME
        self._before = env_file(self.path)
        self.values: dict[str, str] = {}

    @property
    def environ(self) -> Environ:
        return Environ(self.process, {**self._before, **self.values}, self.path)

    def warehouse(self) -> None:
        """Asks for the warehouse until it answers, and GP's database with it."""
        self._until_it_works(self._ask_warehouse, self._try_warehouse)

    def crm(self) -> None:
        """Asks for CRM until somebody is signed in."""
        self._until_it_works(self._ask_crm, self._try_crm)

    def write(self) -> None:
        """Writes `.env`, readable by its owner alone; lines that are about something else stay."""
        write_env(self.path, self.values)

    def _until_it_works(self, ask: Callable[[], None], attempt: Callable[[], str]) -> None:
        while True:
            ask()
            try:
                self.say(attempt())
                return
            except LoaderError as error:
                if self.ask is None:
                    raise
                self.say(f"{error.message} {error.remedy}".rstrip() + " Once more:")
                self.answers = {}

    def _ask_warehouse(self) -> None:
        kind = self._answered(TARGET, allowed=tuple(WAREHOUSE))
        for question in WAREHOUSE[kind]:
            self._answered(question)

    def _ask_crm(self) -> None:
        self._answered(CRM_URL)
        for question in CREDENTIALS[self._answered(AUTH, allowed=tuple(CREDENTIALS))]:
            self._answered(question)

    def _answered(self, question: Question, allowed: tuple[str, ...] = ()) -> str:
        """The answer, by flag, by asking, or as it is set already; written only where it is not the process's own."""
        name, known = question.name, self.environ.get(question.name, "")
        answer = self.answers.get(name)
        if answer is None and question.secret and self.process.get(name):
            return known
        if answer is None:
            answer = self.ask(replace(question, default=known or question.default)) if self.ask else known
        answer = answer or ("" if question.secret else question.default)
        if not answer and not question.optional:
            how = f"Set {name} in the environment." if question.secret else f"Give {question.flag}, or set {name}."
            raise UsageError(f"{name} is not known, and there is nobody to ask.", how)
        if allowed and answer not in allowed:
            raise UsageError(f"{name} is {answer!r}.", f"It is one of {', '.join(allowed)}.")
        if answer != known or name in self._before:
            self.values[name] = answer
        return answer

    def _context(self) -> Context:
        return Context(self.project_dir, target_name=self.environ["DBT_TARGET"], environ=self.environ, doing=self.doing)

    def _try_warehouse(self) -> str:
        with self._context() as context:
            if context.target.type == "duckdb":
                there = context.target.path is not None and context.target.path.exists()
                return f"{context.target.address}{'' if there else ' will be made by dbt'}."
            from loader.warehouse.sqlserver import driver_path

            if context.target.backend == "pyodbc" and "GP_CRM_SQLSERVER_DRIVER" not in self.process:
                self.values["GP_CRM_SQLSERVER_DRIVER"] = driver_path(context.target)
            company = self.environ["GP_CRM_GP_DATABASE"].replace("]", "]]")
            try:
                count = context.warehouse.query(f"select count_big(*) from [{company}].dbo.SOP10100")[0][0]
            except LoaderError as error:
                raise UsageError(
                    f"{context.target.address} answers, but GP's orders cannot be read: {error.message}",
                    "GP_CRM_GP_DATABASE is GP's company database; the login needs SELECT in it.",
                ) from None
            documents = "1 document" if count == 1 else f"{count:,} documents"
            return f"{context.target.address}; GP's {company} has {documents} in SOP10100."

    def _try_crm(self) -> str:
        with self._context() as context:
            return f"CRM {context.settings.crm_url}: signed in as {context.organization.caller_name}."
