"""`python -m tests.bench.election_messages`: what losing the leader costs, beside the classic Bully election."""

from tests.sim.failover import SIZES, message_row, percentile, recovery_heartbeats
from tests.sim.world import Weather

SEEDS = 20
RECOVERY_SEEDS = 300


def main() -> None:
    """Print both tables."""
    print("Messages for one failure of the leader (signs of life not counted)\n")
    print(
        f"{'nodes':>5}  {'next in line':>12}  {'successor dead too':>13}  {'bully best':>10}  {'worst':>6}  {'all':>6}"
    )
    for nodes in SIZES:
        row = message_row(nodes, SEEDS)
        print(
            f"{row.nodes:>5}  {row.next_in_line:>12.1f}  {row.next_in_line_heir_dead:>13.1f}  {row.bully_best:>10.1f}"
            f"  {row.bully_worst:>6.1f}  {row.bully_all:>6.1f}"
        )
    print("\nHeartbeats from the failure to a usable leader, three nodes\n")
    print(f"{'failure':>8}  {'loss':>5}  {'p50':>5}  {'p90':>5}  {'p99':>5}  {'max':>5}")
    for failure in ("crash", "deaf"):
        for loss in (0.0, 0.05, 0.2):
            beats = recovery_heartbeats(failure, RECOVERY_SEEDS, weather=Weather(loss=loss))
            figures = "  ".join(f"{percentile(beats, share):>5.2f}" for share in (0.5, 0.9, 0.99, 1.0))
            print(f"{failure:>8}  {loss:>5.0%}  {figures}")


if __name__ == "__main__":
    main()
