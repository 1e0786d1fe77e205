"""After a run, a webhook is told what is new, and nothing that a webhook does stops a push. Prometheus reads a file."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from loader.report.metrics import METRICS
from tests.conftest import PROJECT, Workbench
from tests.end_to_end.conftest import SECRET, Webhook

WAITS, GOES = "ORDST2272", "ORDST2228"


@pytest.mark.gp_changes
def test_it_is_told_what_waits_for_the_first_time_and_when_all_is_well_again(bench: Workbench, hook: Webhook) -> None:
    bench.loader("push", "--order", WAITS)
    (told,) = hook.told
    assert told["news"] == ["waiting"]
    assert f"1 order waits since this run.\n• {WAITS} (" in told["text"]
    assert "account_ambiguous, CRM has 2 rows of account with accountnumber 'LASERMES0001'" in told["text"]
    assert told["new"][0]["key"] == WAITS
    assert told["waiting"] == {"records": 1, "amount": told["new"][0]["amount"]}

    bench.loader("push", "--order", WAITS)
    bench.loader("push", "--order", GOES)
    assert len(hook.told) == 1, "nothing is new"

    bench.execute(f"update gp.SOP10100 set CUSTNMBR = 'AARONFIT0001' where rtrim(SOPNUMBE) = '{WAITS}'")
    assert bench.loader("retry", "now").exit_code == 0
    assert hook.told[1]["news"] == ["well"]
    assert "all is well again." in hook.told[1]["text"]


def test_it_is_told_of_the_first_run_that_fails_and_of_the_first_that_does_not(bench: Workbench, hook: Webhook) -> None:
    bench.loader("push", "--order", GOES)
    assert hook.told == []
    crm = bench.settings.get("CRM_ACCESS_TOKEN")
    bench.settings["CRM_ACCESS_TOKEN"] = "wrong"
    assert bench.loader("push").exit_code == 6
    assert bench.loader("push").exit_code == 6
    assert [told["news"] for told in hook.told] == [["failed"]]
    assert "the push ended early (error)" in hook.told[0]["text"]
    del bench.settings["CRM_ACCESS_TOKEN"]
    assert crm is None
    bench.loader("push", "--order", GOES)
    assert hook.told[1]["news"] == ["well"]


@pytest.mark.gp_changes
def test_a_record_that_crm_has_is_linked(bench: Workbench, hook: Webhook) -> None:
    bench.loader("push", "--order", GOES)
    bench.execute(f"update gp.SOP10100 set CUSTNMBR = 'NOBODY' where rtrim(SOPNUMBE) = '{GOES}'")
    bench.loader("push", "--order", GOES)
    link = hook.told[-1]["new"][0]["link"]
    assert re.fullmatch(rf"{bench.crm.url}/main\.aspx\?pagetype=entityrecord&etn=salesorder&id=[0-9a-f-]{{36}}", link)
    assert link in hook.told[-1]["text"]


def test_always_and_never(bench: Workbench, hook: Webhook) -> None:
    bench.settings["GP_CRM_NOTIFY"] = "never"
    bench.loader("push", "--order", WAITS)
    assert hook.told == []
    bench.settings["GP_CRM_NOTIFY"] = "always"
    bench.loader("push", "--order", GOES)
    assert hook.told[0]["news"] == []
    assert "the push ended as ok, 1 waiting." in hook.told[0]["text"]


@pytest.mark.gp_changes
def test_teams_gets_a_card_and_slack_a_text_that_mentions_nobody(bench: Workbench, hook: Webhook) -> None:
    bench.execute(f"update gp.SOP10100 set CUSTNAME = '<!channel> [x](y)' where rtrim(SOPNUMBE) = '{WAITS}'")
    bench.settings.update(GP_CRM_NOTIFY="always", GP_CRM_NOTIFY_FORMAT="teams")
    bench.loader("push", "--order", WAITS)
    (attachment,) = hook.told[0]["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    texts = [block["text"] for block in attachment["content"]["body"]]
    assert any(r"\[x\](y)" in text for text in texts)
    bench.settings["GP_CRM_NOTIFY_FORMAT"] = "slack"
    bench.execute("delete from main_journal.retry_queue")
    bench.loader("push", "--order", WAITS)
    assert hook.told[1].keys() == {"text"}
    assert "&lt;!channel&gt;" in hook.told[1]["text"]


@pytest.mark.parametrize("trouble", ["404", "gone", "silent"])
def test_a_webhook_that_fails_fails_no_push_and_keeps_its_secret(bench: Workbench, hook: Webhook, trouble: str) -> None:
    bench.sources = replace(bench.sources, webhook_timeout=1.0)
    bench.settings["GP_CRM_NOTIFY"] = "always"
    if trouble == "404":
        hook.status = 404
    elif trouble == "silent":
        hook.silent.set()
    else:
        bench.settings["GP_CRM_NOTIFY_URL"] = f"http://127.0.0.1:9/{SECRET}"
    ended = bench.loader("push", "--order", GOES, json_output=False)
    assert ended.exit_code == 0, ended.stdout
    why = {"404": "it answered 404", "gone": "no connection", "silent": "no answer within 1 seconds"}[trouble]
    assert f"Warning: the webhook at 127.0.0.1 was not told of the run: {why}" in ended.stderr
    assert SECRET not in ended.stdout + ended.stderr


@pytest.mark.parametrize("address", [f"http://hooks.example.com/{SECRET}", f"ftp://x/{SECRET}", SECRET])
def test_an_address_that_cannot_be_is_refused_without_being_repeated(bench: Workbench, address: str) -> None:
    bench.settings["GP_CRM_NOTIFY_URL"] = address
    ended = bench.loader("push", "--order", GOES)
    assert (ended.exit_code, ended.error["code"]) == (2, "usage")
    assert SECRET not in ended.stdout + ended.stderr


def test_prometheus_reads_a_file_that_is_whole_and_readable(bench: Workbench, tmp_path: Path) -> None:
    bench.loader("push")
    file = tmp_path / "gp_to_crm.prom"
    ended = bench.loader("status", "--metrics", str(file))
    assert ended.exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.glob("*.prom*")] == ["gp_to_crm.prom"]
    text = file.read_text(encoding="utf-8")
    run = ended.data["runs"][0]
    assert f'gp_to_crm_last_push_records{{outcome="created"}} {run["counts"]["created"]}\n' in text
    assert f'gp_to_crm_queue_records{{table="salesorder",state="open"}} {ended.data["queue"]["open"]}\n' in text
    assert re.search(r'^gp_to_crm_waiting_amount\{table="salesorder"\} [0-9.]+$', text, re.MULTILINE)
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) gp_to_crm_\w+ .+|gp_to_crm_\w+(\{(\w+="[^"]*",?)+\})? [0-9.e+]+', line), (
            line
        )
    assert bench.loader("status", "--metrics", "-", json_output=False).stdout == text
    page = (PROJECT / "docs" / "operating.md").read_text(encoding="utf-8")
    assert [name for name in METRICS if f"`gp_to_crm_{name}" not in page] == []
