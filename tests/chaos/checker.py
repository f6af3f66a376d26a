"""Compares what was acknowledged with what is there: the journal, the directory, and every peer's store, all at rest.

Pure: it gets lines and tables and returns faults. Each fault names the lines of the journal that tell its story.

    lost      an acknowledged effect is not there, or a view was counted and its picture not shown
    doubled   an effect is there more often than it was asked for
    extra     a picture was shown without right, or without having been counted
    stuck     something that never ends: an outbox, a look, a request, a grant that stays frozen
    differ    two of directory, viewer's store and owner's store say different things
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from shared.config import REQUEST_LIMITS
from shared.wire.refusals import FINAL_CODES
from tests.chaos.journal import Effect, Line, effects
from tests.chaos.pairs import MAYBE, NEVER, SURE, Change, Right, Row, after, compare, possible
from tui.peer.granting import SUPERSEDED

KINDS = ("lost", "doubled", "extra", "stuck", "differ")
RAISING = frozenset({"grant", "accept", "set_views"})
OWNERS_OPS = frozenset({"grant", "accept", "set_views", "revoke"})
MAY_HAVE_SPENT = frozenset({"revoked", "expired", "repeat_over", "frozen"})
"""Refusals of a look that may come after its view was counted: the right ended, or another copy of the profile won."""
NOT_SOON_S = 2 * 86_400.0
"""An expiry that is further away than this is not reached, whatever the clocks were set to."""
_EXPIRY_MARGIN_S = 0.5
_HELD_S = REQUEST_LIMITS.held_days * 86_400.0 + 1.0

Tables = dict[str, list[dict[str, Any]]]
Pair = tuple[str, int]
"""An image and the account of a viewer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken promise; `lines` are the numbers of the lines that tell its story."""

    kind: str
    text: str
    lines: tuple[int, ...] = ()


@dataclass
class Evidence:
    """Everything that is compared. `stores` are the peers' tables by name of the person."""

    lines: list[Line]
    directory: Tables
    stores: dict[str, Tables]
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.effects = list(effects(self.lines))
        self.accounts = {
            effect.who: int(effect.told("account"))
            for effect in self.effects
            if effect.op == "register" and effect.state == "ack"
        }
        self.names = {int(row["id"]): str(row["name"]) for row in self.directory["accounts"]}
        self.undelivered = {
            line.facts["request"]: line
            for line in self.lines
            if line.kind == "event" and line.facts.get("event") == "Undeliverable"
        }
        self.delivered = {
            line.facts["request"]: line.n
            for line in reversed(self.lines)
            if line.kind == "event" and line.facts.get("event") == "Delivered"
        }
        self.restores = [
            (int(line.facts["backup"]), line.n)
            for line in self.lines
            if line.kind == "fault" and line.facts.get("what") == "restored"
        ]
        self.first_step = min(
            (line.n for line in self.lines if line.kind == "fault" and line.facts.get("what") == "clock"),
            default=1 << 60,
        )

    def report(self, kind: str, text: str, *lines: int) -> None:
        """Note a fault."""
        self.faults.append(Fault(kind, text, tuple(sorted(set(lines)))))

    def in_doubt(self, effect: Effect) -> bool:
        """Whether a restored backup may lack this: it ended after the backup began and began before it was restored."""
        ended = effect.ended
        if effect.state == "ack" and effect.told("delivered") is False:  # it was queued, and done only later
            ended = self.delivered.get(effect.told("request"), 1 << 60)
        return any(ended > backup and effect.begin.n < restored for backup, restored in self.restores)

    def certainty(self, effect: Effect) -> str:
        """Return whether an effect must be there, may be there, or must not."""
        if effect.state == "unknown":
            return MAYBE
        if effect.state == "refused":
            return NEVER
        if (given_up := self.undelivered.get(effect.told("request"))) is not None:
            return MAYBE if given_up.facts["reason"] == SUPERSEDED else NEVER
        return SURE


def check(lines: list[Line], directory: Tables, stores: dict[str, Tables]) -> list[Fault]:
    """Return all faults, in the order of the checks."""
    evidence = Evidence(lines, directory, stores)
    for examine in (_accounts, _images, _asks, _rights, _looks, _counts, _rest, _stores, _held_copies, _told):
        examine(evidence)
    return evidence.faults


def totals(faults: Iterable[Fault]) -> dict[str, int]:
    """Return how many faults there are of each kind."""
    counted = Counter(fault.kind for fault in faults)
    return {kind: counted[kind] for kind in KINDS}


# --- What is there --------------------------------------------------------------------------------------------------
def _accounts(evidence: Evidence) -> None:
    by_name = defaultdict(list)
    for row in evidence.directory["accounts"]:
        by_name[row["name"]].append(int(row["id"]))
    for effect in evidence.effects:
        if effect.op == "register" and effect.state == "ack" and effect.told("account") not in by_name[effect.who]:
            evidence.report("lost", f"account {effect.told('account')} of {effect.who} is not there", effect.begin.n)
    numbers: dict[int, str] = {}
    for effect in evidence.effects:
        if effect.op == "register" and effect.state == "ack":
            first = numbers.setdefault(int(effect.told("account")), effect.who)
            if first != effect.who:
                evidence.report("doubled", f"{first} and {effect.who} got the same number", effect.begin.n)
    for name, ids in by_name.items():
        if len(ids) > 1:
            evidence.report("doubled", f"{name} has the accounts {ids}")


def _images(evidence: Evidence) -> None:
    rows = {row["id"]: row for row in evidence.directory["images"]}
    made: dict[str, Effect] = {}
    tried: Counter[str] = Counter()
    for effect in evidence.effects:
        if effect.op == "encrypt":
            tried[effect.who] += effect.state != "refused"
            if effect.state == "ack":
                made[effect.told("image")] = effect
    for image, effect in made.items():
        row = rows.get(image)
        if row is None or row["owner_id"] != evidence.accounts.get(effect.who):
            evidence.report("lost", f"image {image[:8]} of {effect.who} is not there", effect.begin.n, effect.ended)
        elif row["state"] == "pending":
            evidence.report("stuck", f"image {image[:8]} is pending for ever", effect.begin.n, effect.ended)
        store = evidence.stores.get(effect.who)
        if store is not None and not any(own["image"] == image and own["ready"] for own in store["own_images"]):
            evidence.report("lost", f"{effect.who} holds its image {image[:8]} no more", effect.begin.n, effect.ended)
    for who, account in evidence.accounts.items():
        count = sum(row["owner_id"] == account and row["state"] != "pending" for row in rows.values())
        if count > tried[who]:
            evidence.report("doubled", f"{who} has {count} images, {tried[who]} were made")
    _withdrawn(evidence, rows, made)


def _withdrawn(evidence: Evidence, rows: dict[str, dict[str, Any]], made: Collection[str]) -> None:
    tried = defaultdict(list)
    for effect in evidence.effects:
        if effect.op == "withdraw":
            tried[effect.asked("image")].append(effect)
    for image, row in rows.items():
        sure = [effect for effect in tried[image] if effect.state == "ack"]
        if sure and row["state"] == "ready":
            evidence.report("lost", f"image {image[:8]} is offered although withdrawn", *(e.begin.n for e in sure))
        # What became of an encryption that was cut short is withdrawn by its owner's peer, since nobody has its key.
        if row["state"] == "withdrawn" and image in made and not tried[image]:
            evidence.report("doubled", f"image {image[:8]} is withdrawn although nobody asked for it")


def _asks(evidence: Evidence) -> None:
    rows = {row["id"]: row for row in evidence.directory["asks"]}
    ends = defaultdict(list)
    for effect in evidence.effects:
        if effect.op in ("accept", "reject", "cancel"):
            ends[effect.asked("ask")].append(effect)
    for effect in evidence.effects:
        if effect.op != "request" or effect.state != "ack":
            continue
        ask = effect.told("request")
        if ask in evidence.undelivered:
            _judge_refused_ask(evidence, effect)
        elif ask not in rows:
            gone = [end for end in ends[ask] if end.op == "cancel" and end.state != "refused"]
            if not gone and not evidence.in_doubt(effect):
                evidence.report("lost", f"request {ask[:8]} of {effect.who} is not there", effect.begin.n, effect.ended)
        else:
            _ask_state(evidence, effect, rows[ask], ends[ask])
    made = Counter(
        (effect.asked("account"), effect.asked("image"))
        for effect in evidence.effects
        if effect.op == "request" and effect.state != "refused"
    )
    there = Counter((row["viewer_id"], row["image_id"]) for row in rows.values())
    for key, count in there.items():
        if count > made[key]:
            evidence.report("doubled", f"{count} requests for {key[1][:8]} by {key[0]}, {made[key]} were made")


def _judge_refused_ask(evidence: Evidence, effect: Effect) -> None:
    image = effect.asked("image")
    withdrawn = any(e.op == "withdraw" and e.asked("image") == image for e in evidence.effects)
    if not withdrawn:
        line = evidence.undelivered[effect.told("request")]
        evidence.report("lost", f"a request was given up: {line.facts.get('reason')}", effect.begin.n, line.n)


def _ask_state(evidence: Evidence, effect: Effect, row: dict[str, Any], ends: list[Effect]) -> None:
    states = {"accept": "accepted", "reject": "rejected", "cancel": "withdrawn"}
    story = (effect.begin.n, *(end.begin.n for end in ends))
    allowed = {states[end.op] for end in ends if evidence.certainty(end) != NEVER}
    image = effect.asked("image")
    if any(other.op == "withdraw" and other.asked("image") == image for other in evidence.effects):
        allowed.add("rejected")  # nobody waits for an answer about an image that is not offered any more
    if evidence.restores:
        # An answer that met a directory without the request is given when the request is there again; what was given
        # and taken back before is closed with a no.
        allowed |= {"rejected"} if {"reject", "accept"} & {end.op for end in ends} else set()
    if row["state"] == "pending":
        evidence.report("stuck", f"request {row['id'][:8]} is pending for ever", *story)
    elif row["state"] not in allowed:
        evidence.report("differ", f"request {row['id'][:8]} is {row['state']}, asked for: {sorted(allowed)}", *story)


# --- Rights and looks -----------------------------------------------------------------------------------------------
def _changes(evidence: Evidence) -> dict[Pair, list[tuple[Effect, Change]]]:
    found = defaultdict(list)
    for effect in evidence.effects:
        if effect.op in OWNERS_OPS:
            pair = (str(effect.asked("image")), int(effect.asked("viewer")))
            found[pair].append((effect, _change(effect, evidence.certainty(effect))))
    return found


def _change(effect: Effect, certainty: str) -> Change:
    met = effect.told("met") if effect.state == "ack" and effect.told("delivered") else None
    gives = effect.op in ("grant", "accept")
    return Change(
        effect.begin.n,
        certainty,
        give=effect.asked("views") if gives else None,
        left=effect.asked("left") if effect.op == "set_views" else None,
        revoke=effect.op == "revoke",
        expires=effect.asked("expires"),
        ask=effect.asked("ask"),
        met=met,
    )


def _grants(evidence: Evidence) -> dict[Pair, list[Row]]:
    found = defaultdict(list)
    for row in sorted(evidence.directory["grants"], key=lambda row: float(row["created"])):
        found[row["image_id"], int(row["viewer_id"])].append(
            Row(row["id"], row["granted"], row["consumed"], bool(row["revoked"]), row["expires"])
        )
    return found


def _rights(evidence: Evidence) -> None:
    changes, grants = _changes(evidence), _grants(evidence)
    for pair in changes.keys() | grants.keys():
        rows = grants.get(pair, [])
        # A restored directory makes grants again in any order; the one that stands is the newest.
        rows = sorted(rows, key=lambda row: not row.revoked)
        history, consumed = changes.get(pair, []), [row.consumed for row in rows]
        story = [effect.begin.n for effect, _ in history]
        try:
            states = possible((change for _, change in history), consumed)
        except OverflowError:
            continue
        if (finding := compare(states, rows)) is not None and not _made_again(evidence, states, rows):
            evidence.report(finding.kind, f"{_named(pair)}: {finding.text}", *story)
        _judge_refusals(evidence, pair, history, consumed)


def _made_again(evidence: Evidence, states: set[Right], rows: list[Row]) -> bool:
    """Whether grants that a restored directory got back in another order are explained in one of their orders."""
    orders = ([*(other for other in rows if other is not last), last] for last in rows)
    return bool(evidence.restores) and any(compare(states, order) is None for order in orders)


def _judge_refusals(evidence: Evidence, pair: Pair, history: list[tuple[Effect, Change]], consumed: list[int]) -> None:
    """A change that was refused must have been impossible: it met no grant that stands, or an answered request, or it
    was still waiting when the owner revoked."""
    states = {Right()}
    for effect, change in history:
        told = evidence.undelivered.get(effect.told("request")) if effect.state == "ack" else None
        if told is not None or effect.state == "refused":
            reason = effect.told("text") if told is None else told.facts.get("reason")
            if effect.state == "refused" and effect.told("mistake"):
                continue  # the caller was told that this cannot be done, before anything was stored
            overtaken = told is not None and any(
                later.op == "revoke" and effect.begin.n < later.begin.n < told.n for later, _ in history
            )
            if not overtaken and not _may_be_refused(evidence, effect, change, states):
                last = effect.ended if told is None else told.n
                evidence.report("lost", f"{_named(pair)}: {effect.op} was given up: {reason}", effect.begin.n, last)
        states = after(states, change, consumed)


def _may_be_refused(evidence: Evidence, effect: Effect, change: Change, states: set[Right]) -> bool:
    if effect.state == "refused" and effect.told("code") not in FINAL_CODES:
        return False
    if change.ask is not None:
        rivals = [
            other
            for other in evidence.effects
            if other.op in ("accept", "reject", "cancel") and other.asked("ask") == change.ask and other is not effect
        ]
        return bool(rivals) or evidence.in_doubt(effect)
    return change.give is None and not all(state.stands for state in states)


def _looks(evidence: Evidence) -> None:
    changes = _changes(evidence)
    by_pair = defaultdict(list)
    for effect in evidence.effects:
        if effect.op == "look":
            by_pair[str(effect.asked("image")), int(effect.asked("account"))].append(effect)
    for pair, looks in by_pair.items():
        shown = [look for look in looks if look.state == "ack"]
        for look in shown:
            if look.told("sha256") != look.asked("sha256"):
                evidence.report("extra", f"{_named(pair)}: other bytes were shown", look.begin.n, look.ended)
        for look in looks:
            if look.asked("expected") and look.state != "ack":
                evidence.report(
                    "lost",
                    f"{_named(pair)}: a look that the peer had views for was not given: {look.told('text')}",
                    look.begin.n,
                    look.ended,
                )
        _shown_in_all(evidence, pair, shown, changes.get(pair, []))
        cut_off = [look for look in looks if _may_have_spent(evidence, look)]
        _shown_after(evidence, pair, shown, cut_off, changes.get(pair, []))


def _known_to_a_copy_only(evidence: Evidence, looks: list[Effect]) -> list[Effect]:
    """Return the looks that a restore made everybody forget but a copy of the profile, which is thrown away by then.

    Nobody is left who can prove such a view, so that it can be had once more. The person's own peer can prove it where
    it looked itself after the copy and before the restore: the count that it was told includes the copy's view.
    """
    shown = [look for look in looks if look.state == "ack"]
    copies = [look for look in shown if _by_a_copy(evidence, look)]
    own = [look for look in shown if look not in copies]
    return [
        look
        for look in copies
        if any(
            look.ended > backup
            and look.begin.n < restored
            and not any(look.ended < later.begin.n and later.ended < restored for later in own)
            for backup, restored in evidence.restores
        )
    ]


def _by_a_copy(evidence: Evidence, look: Effect) -> bool:
    """Whether a copy of a profile looked: it has its person's account, and a name of its own in the journal."""
    return look.who != evidence.names.get(int(look.asked("account")), look.who)


def _shown_in_all(evidence: Evidence, pair: Pair, shown: list[Effect], history: list[tuple[Effect, Change]]) -> None:
    consumed = [row.consumed for row in _grants(evidence).get(pair, [])]
    try:
        most = max(state.most_shown for state in possible((change for _, change in history), consumed))
    except OverflowError:
        return
    if len(shown) > most + len(_known_to_a_copy_only(evidence, shown)):
        story = [*(look.begin.n for look in shown), *(effect.begin.n for effect, _ in history)]
        evidence.report("extra", f"{_named(pair)}: shown {len(shown)} times, {most} were given", *story)


def _shown_after(
    evidence: Evidence, pair: Pair, shown: list[Effect], cut_off: list[Effect], history: list[tuple[Effect, Change]]
) -> None:
    """After an answered change and before the next one no more is shown than that change left.

    A look that was counted before and cut off may be finished after it: it was paid for. A revocation ends also those.
    """
    forgotten = _known_to_a_copy_only(evidence, shown)
    for index, (effect, change) in enumerate(history):
        if effect.state != "ack" or not effect.told("delivered") or evidence.certainty(effect) != SURE:
            continue
        until = min(
            (e.begin.n for e, c in history[index + 1 :] if e.op in RAISING and c.certainty != NEVER), default=1 << 60
        )
        within = [look for look in shown if look.begin.n > effect.ended and look.ended < until]
        if change.revoke or change.left is not None:
            left = 0 if change.revoke else int(change.left or 0)
            paid = 0 if change.revoke else sum(look.begin.n < effect.ended for look in cut_off)
            again = 0 if change.revoke else sum(look in forgotten for look in within)
            if len(within) > left + paid + again:
                story = [effect.begin.n, effect.ended, *(look.begin.n for look in within)]
                evidence.report(
                    "extra", f"{_named(pair)}: shown {len(within)} times after {effect.op} left {left}", *story
                )
        over = effect.asked("over_at")
        if over is not None:
            late = [
                look for look in within if look.begin.at > over + _EXPIRY_MARGIN_S and look.ended < evidence.first_step
            ]
            if late:
                story = [effect.begin.n, effect.ended, *(look.begin.n for look in late)]
                evidence.report("extra", f"{_named(pair)}: shown {len(late)} times after the expiry", *story)


def _counts(evidence: Evidence) -> None:
    """What the ledger counted against what was shown, and its views against its counts."""
    looks: defaultdict[Pair, list[Effect]] = defaultdict(list)
    for effect in evidence.effects:
        if effect.op == "look":
            looks[str(effect.asked("image")), int(effect.asked("account"))].append(effect)
    views = Counter(row["grant_id"] for row in evidence.directory["views"])
    changes, grants = _changes(evidence), _grants(evidence)
    for pair in grants.keys() | looks.keys():
        rows = grants.get(pair, [])
        counted = sum(row.consumed for row in rows)
        shown = [look for look in looks[pair] if look.state == "ack"]
        excused = [look for look in looks[pair] if _may_have_spent(evidence, look)]
        story = [look.begin.n for look in looks[pair]]
        # A change whose answer its owner's peer never heard, and that a restore forgot, is missing in the total of the
        # revocation that followed; nothing is open then.
        unheard = any(change.certainty != SURE for _, change in changes.get(pair, []))
        if len(shown) > counted + len(_known_to_a_copy_only(evidence, shown)):
            evidence.report("extra", f"{_named(pair)}: shown {len(shown)} times, counted {counted}", *story)
        if counted > len(shown) + len(excused):
            evidence.report(
                "lost", f"{_named(pair)}: {counted} views counted, {len(shown)} shown, {len(excused)} cut off", *story
            )
        for row in rows:
            if views[row.grant] > row.consumed or (views[row.grant] < row.consumed and not evidence.restores):
                evidence.report(
                    "doubled", f"{_named(pair)}: {row.consumed} counted, {views[row.grant]} in the log", *story
                )
            if row.consumed > row.granted and not (row.revoked and evidence.restores and unheard):
                evidence.report("extra", f"{_named(pair)}: {row.consumed} counted of {row.granted} granted", *story)


def _may_have_spent(evidence: Evidence, look: Effect) -> bool:
    """Whether a look that showed nothing may have cost its view.

    A restore between the count and the picture makes the directory forget the view, which its peers know of.
    """
    if look.state != "refused":
        return look.state == "unknown"
    code = look.told("code")
    return code in MAY_HAVE_SPENT or (code == "not_found" and evidence.in_doubt(look))


# --- At rest ---------------------------------------------------------------------------------------------------------
def _rest(evidence: Evidence) -> None:
    for line in evidence.lines:
        if line.kind in ("stuck", "broken"):
            kind = "stuck" if line.kind == "stuck" else "lost"
            evidence.report(kind, str(line.facts.get("text")), line.n)
    for effect in evidence.effects:
        if effect.end is None:
            evidence.report("stuck", f"{effect.op} of {effect.who} never ended", effect.begin.n)
    for who, store in evidence.stores.items():
        for row in store["outbox"]:
            evidence.report("stuck", f"{who}: {row['what']} waits in the outbox: {row['trouble']}")
        for row in store["pending_views"]:
            if _is_over(evidence, row["grant_id"]):
                continue  # nothing can come of it any more, and nothing waits for it
            evidence.report("stuck", f"{who}: a look at grant {row['grant_id'][:8]} was never finished")
        for row in store["set_aside"]:
            evidence.report("lost", f"{who}: a row of {row['from_table']} was set aside: {row['reason']}")
    epoch = max((int(row["value"]) for row in evidence.directory["meta"] if row["name"] == "epoch"), default=0)
    owners = {account: who for who, account in evidence.accounts.items()}
    for row in evidence.directory["grants"]:
        if int(row["epoch"]) < epoch and not row["revoked"]:
            owner = owners.get(row["owner_id"], "?")
            evidence.report("stuck", f"grant {row['id'][:8]} of {owner} is frozen (epoch {row['epoch']} of {epoch})")


def _is_over(evidence: Evidence, grant: str) -> bool:
    """Whether a grant is revoked, or expired or about to."""
    row = next((row for row in evidence.directory["grants"] if row["id"] == grant), None)
    if row is None:
        return False
    ended = max((float(line.facts["wall"]) for line in evidence.lines if "wall" in line.facts), default=0.0)
    return bool(row["revoked"]) or (row["expires"] is not None and row["expires"] < ended + NOT_SOON_S)


def _stores(evidence: Evidence) -> None:
    names = {account: who for who, account in evidence.accounts.items()}
    for row in evidence.directory["grants"]:
        viewer, owner = names.get(row["viewer_id"]), names.get(row["owner_id"])
        ledger = {"version": row["version"], "consumed": row["consumed"]}
        label = f"grant {row['id'][:8]} ({owner} to {viewer})"
        if viewer in evidence.stores:
            held = _row(evidence.stores[viewer]["held"], row["id"])
            _same(evidence, label, ledger, held, f"{viewer}'s store")
            if held is not None and not held["received"] and not _is_over(evidence, row["id"]):
                evidence.report("stuck", f"{label}: the image is still on its way at the end")
        if owner in evidence.stores:
            _same(evidence, label, ledger, _row(evidence.stores[owner]["given"], row["id"]), f"{owner}'s store")
    known = {row["id"] for row in evidence.directory["grants"]}
    for who, store in evidence.stores.items():
        for name in ("held", "given"):
            for row in store[name]:
                if row["grant_id"] not in known:
                    evidence.report("lost", f"{who} knows grant {row['grant_id'][:8]} ({name}), the directory does not")


def _held_copies(evidence: Evidence) -> None:
    """What the cloud held goes when its viewer has it, and stays no longer than was promised."""
    grants = {row["id"]: row for row in evidence.directory["grants"]}
    names = {account: who for who, account in evidence.accounts.items()}
    for row in evidence.directory["held_copies"]:
        grant = grants.get(row["grant_id"])
        label = f"the held copy of grant {row['grant_id'][:8]}"
        if grant is None:
            evidence.report("stuck", f"{label}: there is no such grant")
            continue
        if row["expires"] > row["created"] + _HELD_S:
            evidence.report("stuck", f"{label} is to stay longer than was promised")
        held = _row(evidence.stores.get(names.get(grant["viewer_id"], ""), {}).get("held", []), row["grant_id"])
        if row["whole"] and held is not None and held["received"] and not _is_over(evidence, row["grant_id"]):
            evidence.report("stuck", f"{label} stays though its viewer has it")


def _row(rows: list[dict[str, Any]], grant: str) -> dict[str, Any] | None:
    return next((row for row in rows if row["grant_id"] == grant), None)


def _same(evidence: Evidence, label: str, ledger: dict[str, Any], row: dict[str, Any] | None, where: str) -> None:
    if row is None:
        evidence.report("differ", f"{label}: {where} does not know it")
        return
    there = {name: row[name] for name in ledger}
    if there != ledger:
        evidence.report("differ", f"{label}: the directory says {ledger}, {where} {there}")


def _told(evidence: Evidence) -> None:
    """What the cloud refuses for a passing reason must not be told to the caller as a no.

    An account that a restored directory lacks is told at once to whoever asks for something that is not queued.
    """
    for effect in evidence.effects:
        if effect.op in ("request", "cancel", "reject", "withdraw", "encrypt") and effect.state == "refused":
            code = effect.told("code")
            forgotten = code == "unknown_account" and bool(evidence.restores)
            if code and code not in FINAL_CODES and not forgotten:
                text = f"{effect.op} of {effect.who} was refused for a passing reason: {code}"
                evidence.report("lost", text, effect.begin.n, effect.ended)


def _named(pair: Pair) -> str:
    return f"image {pair[0][:8]} for account {pair[1]}"


def story(lines: list[Line], fault: Fault, around: int = 2) -> Iterator[Line]:
    """Yield the lines of a fault with what was done to the program between them."""
    if not fault.lines:
        return
    of_interest = {number + step for number in fault.lines for step in range(-around, around + 1)}
    answers = set(fault.lines)
    first, last = min(fault.lines), max(fault.lines)
    for line in lines:
        of_it = line.n in of_interest or line.facts.get("of") in answers
        if of_it or (first <= line.n <= last and line.kind in ("fault", "stuck")):
            yield line
