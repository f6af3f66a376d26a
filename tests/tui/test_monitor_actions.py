"""The operator's hands: every order by key and by palette, what was asked of the operator, and how the end is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import Button, Label, Static

from shared.errors import InvalidInput, Unavailable
from shared.wire.node_messages import AuditRecord
from tests.tui.fake_feed import SCENARIOS
from tests.tui.fake_operator import WORDS, FakeOperator
from tests.tui.key_places import place_of
from tests.tui.monitor_fixtures import make_monitor, repainted
from tests.tui.quiet import notifications, running, settled
from tui.common.footer import Footer
from tui.common.rowlist import RowList
from tui.monitor.app import GlimpseMonitor
from tui.monitor.dialogs.last_actions import LastActions
from tui.monitor.dialogs.orders import OrderDialog, OrderMenu, PolicyDialog
from tui.monitor.model import Model
from tui.monitor.order_words import Situation, done, first_choice, objection, plan, record_line, to_do
from tui.monitor.orders import EXPECTED_FOR_S, NOBODY, Announcing, Order, OrderBook, OrderKind, order_for
from tui.monitor.screens.home import TABS, MonitorScreen

HOSTILE = "[bold red]no[/] \x1b]0;owned\x07\u202eevil\nsecond line"


class Desk:
    """A monitor with a fake operator, and what can be seen in it."""

    def __init__(self, app: GlimpseMonitor, pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot
        self.operator: FakeOperator = app.source.operator
        self.cloud = app.source.cloud

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await settled(self.pilot)

    async def passes(self, seconds: float) -> None:
        await repainted(self.pilot, seconds)

    @property
    def toasts(self) -> list[str]:
        return [toast.message for toast in notifications(self.app)]

    @property
    def titles(self) -> list[str]:
        return [toast.title for toast in notifications(self.app)]

    @property
    def heading(self) -> str:
        return str(self.app.screen.query_one(".heading", Label).render())

    def said(self, kind: str) -> str:
        return str(self.app.screen.query_one(f".{kind}", Static).render())

    @property
    def button(self) -> Button:
        return self.app.screen.query_one("#accept", Button)

    async def confirm(self) -> None:
        """Say yes by key, from where the focus is at first: on Cancel."""
        assert self.app.screen.focused.id == "cancel"
        await self.press("tab", "enter")


@asynccontextmanager
async def request_handler(
    scenario: Any = "healthy", *, size: tuple[int, int] = (80, 24), operator: bool = True, seconds: float = 20.0
) -> AsyncIterator[Desk]:
    app = make_monitor(scenario, seconds=seconds)
    app.source.operator = FakeOperator(app.source.cloud) if operator else None
    async with running(app, size=size, notifications=True) as pilot:
        await repainted(pilot, 0.4 if seconds else 0.0)
        yield Desk(app, pilot)


async def by_palette(at: Desk, title: str) -> None:
    """Choose a command by its whole title."""
    await at.press("ctrl+p")
    assert isinstance(at.app.screen, CommandPalette)
    for letter in title:
        await at.pilot.press("space" if letter == " " else letter)
    palette = at.app.screen
    options = palette.query_one("CommandList")
    for _ in range(200):
        await at.pilot.pause()
        if options.option_count and options.highlighted is not None and palette._list_visible:
            break
    await at.press("enter")


# --- Every order by key -----------------------------------------------------------------------------------------------
BY_KEY = {
    "deaf": ("healthy", ["D"], ("n1", "deaf", 20, ""), "You made n1 deaf for 20 s."),
    "token": ("healthy", ["T"], ("n1", "token", 0, "start"), "You sent the token round."),
    "drain": ("healthy", ["tab", "R"], ("n2", "drain", 0, ""), "You drained n2."),
    "undrain": ("draining", ["tab", "tab", "R"], ("n3", "undrain", 0, ""), "You undrained n3."),
    "step_down": ("one_down", ["S"], ("n2", "step_down", 0, ""), "You had n2 step down."),
    "lead": ("healthy", ["tab", "tab", "L"], ("n3", "lead", 0, ""), "You asked n3 to lead."),
}


@pytest.mark.anyio
@pytest.mark.parametrize(("scenario", "keys", "asked", "told"), BY_KEY.values(), ids=BY_KEY)
async def test_an_order_by_key_is_confirmed_and_asked_once(scenario, keys, asked, told):
    async with request_handler(scenario) as at:
        await at.press(*keys)
        assert isinstance(at.app.screen, OrderDialog)
        assert at.operator.asked == []
        await at.confirm()
        assert at.operator.asked == [asked]
        assert isinstance(at.app.screen, MonitorScreen)
        assert at.toasts == [told]
        await at.passes(1.0)
        assert at.toasts == [told], "the record of an own order is not told again"


@pytest.mark.anyio
async def test_the_token_is_stopped_by_the_same_key():
    cloud = SCENARIOS["healthy"]()
    async with request_handler(cloud) as at:
        cloud.send_token(1)
        await at.passes(0.4)
        await at.press("T")
        assert "n2 holds it now" in at.said("does")
        await at.confirm()
        assert at.operator.asked == [("n1", "token", 0, "stop")]
        assert at.toasts == ["You took the token out."]


@pytest.mark.anyio
async def test_the_policy_is_chosen_from_three_of_which_the_present_one_is_shown():
    async with request_handler() as at:
        await at.press("P")
        assert isinstance(at.app.screen, PolicyDialog)
        rows = at.app.screen.query_one("#policies", RowList)
        assert [str(at.app.screen._cells(policy)[1]) for policy in rows.rows] == ["● present", "", ""]
        assert at.button.disabled
        await at.press("down", "down")
        assert not at.button.disabled
        assert "one node after the other" in at.said("does")
        await at.press("enter")
        assert at.operator.asked == [], "the first Enter only goes to the button"
        assert at.app.screen.focused is at.button
        await at.press("enter")
        assert at.operator.asked == [("n1", "policy", 0, "round-robin")]
        assert at.toasts == ["You chose the policy “Round robin”."]


@pytest.mark.anyio
async def test_a_policy_that_another_monitor_chose_meanwhile_is_shown():
    cloud = SCENARIOS["healthy"]()
    async with request_handler(cloud) as at:
        await at.press("P", "down")
        assert not at.button.disabled
        cloud.policy = "priority"
        await at.passes(0.4)
        assert at.button.disabled
        await at.press("enter")
        assert at.app.screen.focused.id == "cancel"
        await at.press("enter")
        assert at.operator.asked == []


@pytest.mark.anyio
@pytest.mark.parametrize("tab", [name for name, _ in TABS])
async def test_the_keys_work_on_every_tab(tab):
    async with request_handler() as at:
        await at.press(str(1 + [name for name, _ in TABS].index(tab)), "S")
        await at.confirm()
        await at.press("D")
        await at.confirm()
        assert at.operator.asked == [("n1", "step_down", 0, ""), ("n1", "deaf", 20, "")]


@pytest.mark.anyio
async def test_a_letter_that_is_typed_into_a_filter_orders_nothing():
    async with request_handler() as at:
        await at.press("4", "slash", "D", "T", "S")
        assert isinstance(at.app.screen, MonitorScreen)
        assert at.operator.asked == []


@pytest.mark.anyio
async def test_the_node_whose_state_machine_is_shown_is_meant():
    async with request_handler() as at:
        await at.press("2", "l", "D")
        assert at.heading == "Make n2 deaf for 20 s?"


@pytest.mark.anyio
async def test_whom_to_ask_to_lead_is_never_who_leads_already():
    async with request_handler() as at:
        await at.press("L")
        assert at.heading == "Ask n2 to lead?"
        assert at.said("does") == "It asks n1 to hand over, which then goes on as a follower."
        await at.press("up")
        assert at.button.disabled
        assert at.said("costs") == "n1 leads already."


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["L", "P"])
async def test_a_dialog_that_is_being_taken_apart_is_painted_no_more(key):
    """The screen behind it goes on painting, as it does while the program ends."""
    async with request_handler() as at:
        await at.press(key)
        dialog = at.app.screen
        assert isinstance(dialog, OrderDialog | PolicyDialog)
        await dialog.remove()
        await dialog.query("*").remove()
        at.app.repaint()


# --- By palette and menu ----------------------------------------------------------------------------------------------
BY_PALETTE = {
    "Make n2 deaf for 20 s…": ("n2", "deaf", 20, ""),
    "Send the token round…": ("n1", "token", 0, "start"),
    "Drain n3…": ("n3", "drain", 0, ""),
    "Have the leader step down…": ("n1", "step_down", 0, ""),
    "Ask n3 to lead…": ("n3", "lead", 0, ""),
}


@pytest.mark.anyio
@pytest.mark.parametrize(("title", "asked"), BY_PALETTE.items(), ids=BY_PALETTE)
async def test_an_order_by_palette_is_confirmed_and_asked_once(title, asked):
    async with request_handler() as at:
        await by_palette(at, title.rstrip("…"))
        assert isinstance(at.app.screen, OrderDialog)
        assert at.operator.asked == []
        await at.confirm()
        assert at.operator.asked == [asked]


@pytest.mark.anyio
async def test_a_node_is_undrained_and_the_token_stopped_by_palette():
    cloud = SCENARIOS["draining"]()
    async with request_handler(cloud) as at:
        await by_palette(at, "Undrain n3")
        await at.confirm()
        cloud.send_token(1)
        await at.passes(0.4)
        await by_palette(at, "Stop the token")
        await at.confirm()
        assert at.operator.asked == [("n3", "undrain", 0, ""), ("n1", "token", 0, "stop")]


@pytest.mark.anyio
async def test_a_policy_is_chosen_by_palette():
    async with request_handler() as at:
        await by_palette(at, "Choose the policy Round robin")
        assert at.app.screen.query_one("#policies", RowList).current == "round-robin"
        await at.press("enter", "enter")
        assert at.operator.asked == [("n1", "policy", 0, "round-robin")]


@pytest.mark.anyio
async def test_every_node_has_its_orders_in_the_palette():
    async with request_handler("nine", size=(120, 40)) as at:
        titles = [command.title for command in at.app.get_system_commands(at.app.screen)]
        for node in range(1, 10):
            for title in ("Make n{} deaf for 20 s…", "Drain n{}…", "Undrain n{}…", "Ask n{} to lead…"):
                assert titles.count(title.format(node)) == 1


@pytest.mark.anyio
async def test_the_menu_has_all_orders_with_their_keys():
    async with request_handler() as at:
        shown = {binding.id: binding.show for _, binding in at.app.screen._bindings}
        assert shown["orders.menu"]
        await at.press("o")
        assert isinstance(at.app.screen, OrderMenu)
        choices = at.app.screen.query_one(RowList).rows
        assert [(choice.shown, choice.name) for choice in choices] == [
            ("D", "Deaf"),
            ("T", "Token"),
            ("R", "Drain"),
            ("S", "Step down"),
            ("L", "Lead"),
            ("P", "Policy"),
            ("A", "Last actions"),
        ]
        await at.press("down", "down", "down", "enter")
        assert at.heading == "Have n1 step down?"
        await at.press("escape", "o", "P")
        assert isinstance(at.app.screen, PolicyDialog)
        await at.press("escape", "o", "d")  # in the menu, where nothing else goes by letters, small ones do
        assert at.heading == "Make n1 deaf for 20 s?"
        await at.press("escape", "o", "escape")
        assert isinstance(at.app.screen, MonitorScreen)
        assert at.operator.asked == []


@pytest.mark.anyio
async def test_an_order_by_mouse_alone():
    async with request_handler() as at:
        await at.pilot.click(Footer, offset=place_of(at.app.screen, "Orders…"))
        await settled(at.pilot)
        assert isinstance(at.app.screen, OrderMenu)
        orders = at.app.screen.query_one(RowList)
        await at.pilot.click(orders, offset=(10, 0))
        await settled(at.pilot)
        assert isinstance(at.app.screen, OrderDialog)
        await at.pilot.click(at.app.screen.query_one(RowList), offset=(4, 3))
        await settled(at.pilot)
        await at.pilot.click(at.button)
        await settled(at.pilot)
        assert at.operator.asked == [("n3", "deaf", 20, "")]


# --- The question -----------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize("keys", [["enter"], ["escape"], ["up", "down", "escape"]])
async def test_no_is_what_enter_and_escape_mean(keys):
    async with request_handler() as at:
        for key in "DTRSL":
            await at.press(key, *keys)
            assert isinstance(at.app.screen, MonitorScreen)
        assert at.operator.asked == []
        assert at.toasts == []


@pytest.mark.anyio
async def test_another_node_is_chosen_in_the_dialog_and_the_words_follow():
    async with request_handler() as at:
        await at.press("D")
        assert at.heading == "Make n1 deaf for 20 s?"
        assert "It leads: n2, next in line, is elected" in at.said("costs")
        await at.press("down")
        assert at.heading == "Make n2 deaf for 20 s?"
        assert str(at.button.label) == "Make n2 deaf"
        assert "The others take over" in at.said("costs")
        await at.confirm()
        assert at.operator.asked == [("n2", "deaf", 20, "")]


@pytest.mark.anyio
async def test_the_words_follow_the_cluster_but_the_node_stays():
    async with request_handler() as at:
        await at.press("D")
        at.cloud.kill(0)
        await at.passes(4.0)
        assert at.heading == "Make n1 deaf for 20 s?"
        assert "n1 does not answer now" in at.said("costs")
        await at.confirm()
        assert at.operator.asked == [("n1", "deaf", 20, "")]


@pytest.mark.anyio
async def test_nothing_is_asked_where_there_is_nothing_to_order():
    async with request_handler("draining") as at:
        for title, said in (
            ("Drain n3", "n3 drains already."),
            ("Undrain n1", "n1 does not drain."),
            ("Ask n3 to lead", "n3 drains; undrain it first."),
            ("Ask n1 to lead", "n1 leads already."),
            ("Stop the token", "The token does not go round."),
        ):
            await by_palette(at, title)
            assert at.said("costs") == said
            assert at.button.disabled
            await at.press("escape")
        assert at.operator.asked == []


@pytest.mark.anyio
async def test_without_a_leader_nobody_can_step_down():
    async with request_handler("directory_gone") as at:
        await at.press("S")
        assert isinstance(at.app.screen, MonitorScreen)
        assert at.toasts == ["Nobody leads now, so nobody can step down."]


@pytest.mark.anyio
async def test_orders_can_be_tried_before_anybody_was_heard():
    async with request_handler(seconds=0.0) as at:
        at.operator.error = Unavailable("Node n1 does not answer; see whether its process runs.")
        for key in "DTRL":
            await at.press(key)
            await at.confirm()
        assert [asked[1] for asked in at.operator.asked] == ["deaf", "token", "drain", "lead"]
        assert set(at.toasts) == {"Node n1 does not answer; see whether its process runs."}


# --- How it ended -----------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("No other node could take over now; wait until one is back."),
        Unavailable("Node n1 does not answer; see whether its process runs."),
    ],
)
async def test_an_objection_is_shown_as_it_is(error):
    async with request_handler() as at:
        at.operator.error = error
        await at.press("R")
        await at.confirm()
        assert at.toasts == [str(error)]
        assert at.titles == ["Could not drain n1"]


@pytest.mark.anyio
async def test_a_hostile_objection_is_harmless():
    async with request_handler() as at:
        at.operator.error = InvalidInput(HOSTILE)
        await at.press("D")
        await at.confirm()
        (toast,) = notifications(at.app)
        assert not toast.markup
        assert toast.message == objection(HOSTILE)
        assert "[bold red]no[/]" in toast.message
        assert not set("\x1b\x07\n\u202e") & set(toast.message)


@pytest.mark.anyio
async def test_an_order_under_way_is_not_given_twice():
    async with request_handler() as at:
        at.operator.hold()
        for _ in range(2):
            await at.pilot.press("D", "tab", "enter")
            await at.pilot.pause()
        assert at.operator.asked == [("n1", "deaf", 20, "")]
        assert at.toasts == ["The same order is under way already; wait for its answer."]
        at.operator.answers.set()
        await settled(at.pilot)
        await at.press("D")
        await at.confirm()
        assert len(at.operator.asked) == 2


@pytest.mark.anyio
async def test_an_order_that_got_no_answer_and_was_obeyed_after_all_is_told():
    async with request_handler() as at:
        at.operator.error = Unavailable("Node n1 does not answer.")
        await at.press("D")
        await at.confirm()
        at.cloud.order(0, "deaf", "20", operator=WORDS)
        await at.passes(0.4)
        assert at.toasts == ["Node n1 does not answer.", "larch-lemon-lilac made n1 deaf for 20 s."]


# --- What others did --------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_what_another_operator_did_is_told_once_in_every_monitor():
    cloud = SCENARIOS["healthy"]()
    async with request_handler(cloud) as at:
        cloud.order(1, "deaf", "20")
        cloud.order(2, "drain", obeyed=False, text=HOSTILE)
        await at.passes(0.4)
        await at.passes(2.0)
        first, second = at.toasts
        assert first == "amber-basil-cedar made n2 deaf for 20 s."
        assert second.startswith("amber-basil-cedar wanted to drain n3, which was refused: [bold red]no[/]")
        assert not set("\x1b\x07\n\u202e") & set(second)
        assert [toast.severity for toast in notifications(at.app)] == ["information", "warning"]
        assert not any(toast.markup for toast in notifications(at.app))


@pytest.mark.anyio
async def test_another_monitor_of_the_same_operator_tells_it_too():
    async with request_handler() as at:
        at.cloud.order(1, "deaf", "20", operator=WORDS)
        await at.passes(0.4)
        assert at.toasts == ["larch-lemon-lilac made n2 deaf for 20 s."]


@pytest.mark.anyio
async def test_a_flood_of_orders_is_told_as_a_number():
    async with request_handler() as at:
        for _ in range(50):
            at.cloud.order(1, "slow", "2")
        await at.passes(0.4)
        assert len(at.toasts) == 4
        assert at.toasts[-1] == "47 more actions of operators; press A to see them."


@pytest.mark.anyio
async def test_what_happened_before_the_monitor_began_is_no_news():
    cloud = SCENARIOS["healthy"]()
    cloud.at(19.0, lambda: cloud.order(1, "deaf", "20"))
    async with request_handler(cloud) as at:
        await at.passes(1.0)
        assert at.app.source.model.actions.newest_first()
        assert at.toasts == []


def test_news_are_forgotten_with_the_model_and_old_records_are_none():
    announcing, model = Announcing(), Model(SCENARIOS["healthy"]().node_index)
    assert announcing.news(model, 5.0, 1_000.0) == ()

    def act(number: int, at: float, wall: float) -> None:
        model.actions.take(AuditRecord("n1", 7, number, wall, "a b c", "drain"), 0, at)

    act(1, 6.0, 1_006.0)
    act(2, 6.5, 500.0)
    act(3, 4.0, 1_004.0)
    assert [action.record.number for action in announcing.news(model, 7.0, 1_000.0)] == [1]
    assert announcing.news(model, 7.0, 1_000.0) == ()
    other = Model(model.node_index)
    other.actions.take(AuditRecord("n1", 7, 9, 1_006.0, "a b c", "drain"), 0, 6.0)
    assert announcing.news(other, 7.0, 1_000.0) == ()


@pytest.mark.anyio
async def test_the_last_actions_say_who_did_what_and_whose_logs_have_it():
    cloud = SCENARIOS["one_down"]()
    async with request_handler(cloud, size=(120, 40)) as at:
        cloud.order(1, "policy", "round-robin")
        await at.passes(0.4)
        cloud.restart(0)
        cloud.order(2, "step_down", obeyed=False, text="Node n3 does not lead. [x]")
        await at.passes(0.4)
        await at.press("A")
        window = at.app.screen
        assert isinstance(window, LastActions)
        rows = window.query_one(RowList)
        lines = [[str(cell) for cell in window._cells(row)] for row in rows.rows]
        assert [line[1:] for line in lines] == [
            ["amber-basil-cedar", "have n3 step down", "✗ refused", "all nodes"],
            ["amber-basil-cedar", "chose the policy “Round robin”", "✓ obeyed", "n2, n3"],
        ]
        cloud.order(1, "deaf", "5")
        await at.passes(0.4)
        assert len(rows.rows) == 3
        await at.press("escape")
        assert isinstance(at.app.screen, MonitorScreen)


# --- A recording ------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
async def test_a_recording_has_nobody_to_command():
    async with request_handler(operator=False) as at:
        for key in "oDTRSLP":
            await at.press(key)
            assert isinstance(at.app.screen, MonitorScreen)
            assert at.toasts == [NOBODY]
            at.app.clear_notifications()
        titles = [command.title for command in at.app.get_system_commands(at.app.screen)]
        assert not [title for title in titles if title.endswith("…") and title != "Orders…"]
        await at.press("A")
        assert isinstance(at.app.screen, LastActions)


@pytest.mark.anyio
async def test_a_recording_tells_what_operators_did_in_it():
    async with request_handler(operator=False) as at:
        at.cloud.order(1, "deaf", "20", operator=WORDS)
        await at.passes(0.4)
        assert at.toasts == ["larch-lemon-lilac made n2 deaf for 20 s."]


# --- Without a screen -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("order", ["deaf", "token", "drain", "undrain", "step_down", "lead", "policy", "slow", "stop"])
def test_every_order_has_words(order):
    for words in (done(order, "3", "n1"), to_do(order, "3", "n1")):
        assert "the order" not in words
    assert done(order, "3", "n1") != to_do(order, "3", "n1")


def test_words_of_what_nobody_knows_are_harmless():
    record = AuditRecord("n1", 1, 1, 0.0, "", "new_order", "\x1b[31m[b]", False, "")
    line = record_line(record)
    assert line.startswith("an operator wanted to give n1 the order new_order")
    assert "\x1b" not in line


@pytest.mark.anyio
async def test_the_own_record_is_waited_for_only_so_long():
    operator = FakeOperator()
    orders, order = OrderBook(operator), order_for(OrderKind.DEAF, "n2")
    record = AuditRecord("n2", 1, 1, 0.0, WORDS, "deaf", "20")
    assert orders.begin(order, 0.0)
    assert not orders.begin(order, 1.0)
    await orders.give(order)
    assert not orders.caused(AuditRecord("n2", 1, 1, 0.0, "other words", "deaf", "20"), 1.0)
    assert not orders.caused(AuditRecord("n2", 1, 1, 0.0, WORDS, "deaf", "30"), 1.0)
    assert orders.caused(record, 1.0)
    assert not orders.caused(record, 1.0)
    assert orders.begin(order, 2.0)
    assert not orders.caused(record, 2.0 + EXPECTED_FOR_S + 0.1)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_order_has_a_plan_in_every_situation(scenario):
    cloud = SCENARIOS[scenario]()
    model = Model(cloud.node_index)
    now = cloud.feed(model, 20.0)
    situation = Situation(model.cluster(now), model.nodes(now))
    for kind in set(OrderKind) - {OrderKind.POLICY}:
        for node in (*situation.nodes, first_choice(kind, situation)):
            said = plan(kind, node, situation)
            assert said.heading.endswith("?")
            assert said.does.endswith(".")
            assert said.costs.endswith(".")
            assert len(said.accept) <= 40
    assert order_for(OrderKind.POLICY, "n1", policy="priority") == Order("n1", "policy", text="priority")


# --- Pictures ---------------------------------------------------------------------------------------------------------
def pictured(scenario: str) -> GlimpseMonitor:
    app = make_monitor(scenario)
    app.source.operator = FakeOperator(app.source.cloud)
    return app


def test_the_order_menu(snap, look):
    snap(pictured("healthy"), look, press=("o",), light=True)


@pytest.mark.parametrize("key", list("DTRSLP"))
def test_the_dialogs(snap, key):
    snap(pictured("healthy"), (80, 24), press=(key,))


@pytest.mark.parametrize("scenario", ["nine", "one_down", "nothing"])
def test_the_dialog_where_things_are_otherwise(snap, scenario):
    snap(pictured(scenario), (80, 24), press=("D",))


def test_the_last_actions(snap):
    app = pictured("one_down")

    async def act(pilot: Pilot[Any]) -> None:
        app.source.cloud.order(1, "deaf", "20")
        app.source.cloud.order(2, "drain", obeyed=False, text=HOSTILE)
        await repainted(pilot, 0.4)
        app.clear_notifications()
        await pilot.press("A")
        await settled(pilot)

    snap(app, (80, 24), before=act)
