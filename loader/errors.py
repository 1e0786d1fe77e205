"""What can go wrong, as exceptions. Each class has the exit code with which it ends the command."""

from __future__ import annotations

from loader.secrets import redact


class LoaderError(Exception):
    """Stops the command. `code` is stable, `exit_code` is the process's, `remedy` says what to do next."""

    code = "error"
    exit_code = 1
    remedy = ""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        self.message = redact(message)
        super().__init__(self.message)
        if remedy is not None:
            self.remedy = remedy


class UsageError(LoaderError):
    """A flag, a setting or the project is not usable as given."""

    code = "usage"
    exit_code = 2


class ContractError(UsageError):
    """dbt's manifest does not describe CRM tables the way docs/contract.md says."""

    code = "contract_invalid"


class WarehouseUnavailable(LoaderError):
    """The warehouse cannot be reached, or was lost."""

    code = "warehouse_unavailable"
    exit_code = 5


class CrmUnavailable(LoaderError):
    """CRM cannot be reached, or did not answer in time and after all retries."""

    code = "crm_unavailable"
    exit_code = 5


class AccessRefused(LoaderError):
    """Credentials or privileges were refused, by CRM or by the warehouse."""

    code = "access_refused"
    exit_code = 6


class GuardTripped(LoaderError):
    """Stopped before the first write: too many changes, failed contract tests, another run."""

    code = "guard_tripped"
    exit_code = 7


class AnotherRunActive(GuardTripped):
    """Another run holds the lock."""

    code = "another_run_active"
    remedy = "Wait for that run to end. The lock of a run that died becomes free when its lease ends."


class LockLost(GuardTripped):
    """The run's lease ended while it could not renew it, and another run may have begun."""

    remedy = "Run it again when no other run is active; nothing is sent twice."


class Declined(LoaderError):
    """The user was asked whether to go on, and said no."""

    code = "declined"


class NotFound(LoaderError):
    """An order, a run or a file named by the user does not exist."""

    code = "not_found"


# For commands that finished, but whose exit code is still not 0.


class RecordsWaiting(LoaderError):
    """Finished, but records are blocked or failed."""

    code = "records_waiting"
    exit_code = 3
    remedy = "`loader retry list` says what each of them is waiting for."


class ChangesPlanned(LoaderError):
    """`plan --detailed-exitcode` found something to push."""

    code = "changes_planned"
    exit_code = 4
    remedy = "`loader push` writes them."


class CheckFailed(LoaderError):
    """`check` or `xref check` found something that prevents a push."""

    code = "check_failed"
    remedy = "Each finding has its remedy."


class NotWell(LoaderError):
    """`status` with --max-age or --max-blocked found the integration not well."""

    code = "not_well"
    remedy = "`loader status` lists the last runs, `loader retry list` the waiting records."


class Interrupted(LoaderError):
    """A signal ended the command."""

    code = "interrupted"
    remedy = "Run it again: a push continues from what CRM has."

    def __init__(self, signal_number: int, message: str = "Interrupted.") -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class Unexpected(LoaderError):
    """A bug."""

    code = "unexpected"
    remedy = "This is a bug: please report it with the stack trace on stderr."
