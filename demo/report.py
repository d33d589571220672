"""The summary: what was done, what each rule asked for, and what was measured."""

from __future__ import annotations

from typing import Any

from testbed.observe import batch_log


class Report:
    """What the logs of a finished run say."""

    def __init__(self, log: str, elapsed_s: float) -> None:
        self._elapsed_s = elapsed_s
        self._log = log
        self._ours = batch_log.module_batches(log)
        self._synapses = batch_log.batches(log)
        self.errors = [
            line.text
            for line in batch_log.lines(log)
            if line.level in ("ERROR", "CRITICAL")
            and line.logger.startswith(("synapse_bgthrottle", "synapse.storage.background"))
        ]

    def text(self) -> str:
        names = {batch.update_name for batch in self._ours}
        work_s = sum(batch.took_ms for batch in self._ours) / 1000
        wait_s = sum(batch.wait_ms for batch in self._ours) / 1000
        items = sum(batch.items for batch in self._synapses)
        return "\n".join(
            (
                "",
                f"Updates run         {len(names)}, in {len(self._ours)} batches",
                f"Elapsed             {self._elapsed_s:.1f}s",
                f"Time in batches     {work_s:.1f}s",
                f"Time waiting        {wait_s:.1f}s",
                f"Items (by Synapse)  {items}, {items / self._elapsed_s:.0f} a second",
                f"Errors              {len(self.errors)}",
                "",
                "Asked and measured:",
                *(f"  {line}" for line, _ in self._checks()),
                "",
            )
        )

    def problems(self, config: dict[str, Any]) -> list[str]:
        missing = [
            str(rule)
            for number, rule in enumerate(config["rules"])
            if f"; rule {number} (" not in self._log
        ]
        return [
            *(f"an error was logged: {error}" for error in self.errors),
            *(f"not kept: {line}" for line, kept in self._checks() if not kept),
            *(f"no update came under rule {rule}" for rule in missing),
        ]

    def _checks(self) -> list[tuple[str, bool]]:
        search = batch_log.batches(self._log, "event_search")
        populate = [b for b in self._synapses if b.update_name.startswith("events_populate_")]
        shots = self._rests_before_one_shots_ms()
        if not (search and populate and shots):
            return [("all three rules had something to do", False)]
        full = [batch for batch in search if batch.items == batch.size]  # not the end's remainder
        rate = sum(batch.items for batch in full[:-1]) / (full[-1].start_s - full[0].start_s)
        largest = max(batch.size for batch in populate)
        rests_ms = sorted(shots)
        return [
            (f"event_search: at most 200 items/s; measured {rate:.0f}", 180 <= rate <= 200.5),
            (
                f"events_populate_*: at most 25 items a batch; measured {largest}"
                f" in {len(populate)} batches",
                largest <= 25,
            ),
            (
                f"one-shots: sleep 80ms; measured {rests_ms[0]:.0f} to {rests_ms[-1]:.0f}ms"
                f" before {len(rests_ms)} of them",
                rests_ms[0] >= 79,
            ),
        ]

    def _rests_before_one_shots_ms(self) -> list[float]:
        # By Synapse's log: what a busy machine takes between two iterations is rest, too.
        names = {
            line.text.split()[1]
            for line in batch_log.lines(self._log)
            if line.text.startswith("Pacing ") and "one-shot" in line.text
        }
        rests_s = batch_log.rests_s(self._synapses)
        return [rest_s * 1000 for name in names for rest_s in rests_s.get(name, ())]
