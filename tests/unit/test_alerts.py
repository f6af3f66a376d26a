"""The alerts for Prometheus: they ask for what there is, are explained, and fire when they should and only then."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.test_metrics import samples

DOCS = Path(__file__).parents[2] / "docs"
ALERTS = DOCS / "alerts.yml"
PROMTOOL = shutil.which("promtool")
MINUTES = 90
LONGER = {"GlimpseGrantsFrozen": 25 * 60, "GlimpseVersionsDiffer": 7 * 60}
"""Minutes after which an alert must fire that waits for more than an hour."""

WELL = {
    **{f'up{{job="glimpse",instance="{n}:9400"}}': "1x%d" for n in "abc"},
    'glimpse_node_leads{node="n1"}': "1x%d",
    'glimpse_node_leads{node="n2"}': "0x%d",
    'glimpse_election_leaderships_total{node="n1"}': "3x%d",
    'glimpse_directory_up{node="n1"}': "1x%d",
    'glimpse_directory_latency_seconds{node="n1"}': "0.002x%d",
    'glimpse_directory_epoch{node="n1"}': "2x%d",
    'glimpse_grants_frozen{node="n1"}': "0x%d",
    'glimpse_directory_ahead_seconds{node="n1"}': "0x%d",
    'glimpse_disk_free_bytes{node="n1",folder="node"}': "50000000000x%d",
    'glimpse_process_resident_memory_bytes{node="n1"}': "90000000x%d",
    'glimpse_request_latency_seconds_bucket{node="n1",le="0.016"}': "0+600x%d",
    'glimpse_request_latency_seconds_bucket{node="n1",le="8.192"}': "0+600x%d",
    'glimpse_request_latency_seconds_bucket{node="n1",le="16.384"}': "0+600x%d",
    'glimpse_request_latency_seconds_bucket{node="n1",le="+Inf"}': "0+600x%d",
    'glimpse_loop_lateness_seconds_bucket{node="n1",le="0.016"}': "0+600x%d",
    'glimpse_loop_lateness_seconds_bucket{node="n1",le="1.024"}': "0+600x%d",
    'glimpse_loop_lateness_seconds_bucket{node="n1",le="+Inf"}': "0+600x%d",
    'glimpse_peer_silence_seconds{node="n1",peer="n2"}': "0.2x%d",
    'glimpse_limited_requests_total{node="n1",limit="requests"}': "0+5x%d",
    'glimpse_node_draining{node="n1"}': "0x%d",
    'glimpse_build_info{node="n1",version="0.1.0"}': "1x%d",
    'glimpse_build_info{node="n2",version="0.1.0"}': "1x%d",
}
"""A cluster in order, minute by minute; `%d` is for how many minutes."""

ILL: dict[str, dict[str, str]] = {
    "GlimpseNodeDown": {'up{job="glimpse",instance="a:9400"}': "0x%d"},
    "GlimpseMostNodesDown": {f'up{{job="glimpse",instance="{n}:9400"}}': "0x%d" for n in "ab"},
    "GlimpseNoLeader": {'glimpse_node_leads{node="n1"}': "0x%d"},
    "GlimpseLeaderChanges": {'glimpse_election_leaderships_total{node="n1"}': "3+1x%d"},
    "GlimpseDirectoryDown": {'glimpse_directory_up{node="n1"}': "0x%d"},
    "GlimpseDirectorySlow": {'glimpse_directory_latency_seconds{node="n1"}': "0.5x%d"},
    "GlimpseDirectoryRestored": {'glimpse_directory_epoch{node="n1"}': "2x60 3x60"},
    "GlimpseGrantsFrozen": {'glimpse_grants_frozen{node="n1"}': "4x%d"},
    "GlimpseClockSetBack": {'glimpse_directory_ahead_seconds{node="n1"}': "60x%d"},
    "GlimpseDiskFills": {'glimpse_disk_free_bytes{node="n1",folder="node"}': "500000000x%d"},
    "GlimpseMemory": {'glimpse_process_resident_memory_bytes{node="n1"}': "900000000x%d"},
    "GlimpseRequestsSlow": {
        'glimpse_request_latency_seconds_bucket{node="n1",le="0.016"}': "0+500x%d",
        'glimpse_request_latency_seconds_bucket{node="n1",le="8.192"}': "0+500x%d",
    },
    "GlimpseNodeStalls": {'glimpse_loop_lateness_seconds_bucket{node="n1",le="0.016"}': "0+500x%d"},
    "GlimpseNodesDoNotHearEachOther": {'glimpse_peer_silence_seconds{node="n1",peer="n2"}': "100+60x%d"},
    "GlimpseRequestsLimited": {'glimpse_limited_requests_total{node="n1",limit="requests"}': "0+600x%d"},
    "GlimpseNodeDrained": {'glimpse_node_draining{node="n1"}': "1x%d"},
    "GlimpseVersionsDiffer": {'glimpse_build_info{node="n3",version="0.2.0"}': "1x%d"},
}
"""What differs where an alert must fire. Other alerts may fire with it where one follows from the other."""


def rules() -> dict[str, str]:
    """Return the expression of each alert."""
    text = ALERTS.read_text(encoding="utf-8")
    return dict(re.findall(r"- alert: (\w+)\n\s+expr: (.+)\n", text))


def test_they_ask_only_for_metrics_that_there_are() -> None:
    known = {name for name, _ in samples()}
    asked = {name for expression in rules().values() for name in re.findall(r"glimpse_\w+", expression)}
    assert len(asked) > 12
    assert asked <= known


def test_each_is_explained_to_operators() -> None:
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert [alert for alert in rules() if f"`{alert}`" not in text] == []


def test_each_has_a_case() -> None:
    assert len(rules()) == ALERTS.read_text(encoding="utf-8").count("alert:")
    assert set(rules()) == set(ILL)


def fired(folder: Path, series: dict[str, str], alerts: dict[str, bool], minutes: int = MINUTES) -> str:
    """Have promtool compare which alerts fire after so many minutes with which should; return what differs."""
    file = folder / "case.json"
    case = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values.replace("%d", str(minutes))} for name, values in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > bool 0 or vector(0)',
                        "eval_time": f"{minutes}m",
                        "exp_samples": [{"labels": "{}", "value": int(fires)}],
                    }
                    for alert, fires in alerts.items()
                ],
            }
        ],
    }
    file.write_text(json.dumps(case))
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_none_fires_where_all_is_well(tmp_path: Path) -> None:
    assert fired(tmp_path, WELL, dict.fromkeys(ILL, False)) == ""


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
@pytest.mark.parametrize("alert", ILL)
def test_it_fires_where_it_should(tmp_path: Path, alert: str) -> None:
    assert fired(tmp_path, {**WELL, **ILL[alert]}, {alert: True}, LONGER.get(alert, MINUTES)) == ""
