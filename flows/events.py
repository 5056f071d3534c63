"""Events: what happened, told to Prefect's server, whose automations send messages or start other flows.

eqn.promotion.decided    somebody asked whether a version becomes champion
eqn.champion.changed     a version became champion
eqn.drift.breached       a release is further from what it is compared with than the policy allows
"""

from prefect.events import emit_event

from eqn.records import Decision, Drift


def tell_decision(decision: Decision, registered_model: str) -> None:
    """Tell of a promotion decision, and of the new champion if there is one."""
    resource = {"prefect.resource.id": f"eqn.model.{registered_model}", "prefect.resource.name": registered_model}
    facts = {"version": decision.candidate, "previous": decision.champion, "reasons": list(decision.reasons)}
    emit_event("eqn.promotion.decided", resource, payload=facts | {"promote": decision.promote})
    if decision.promote:
        emit_event("eqn.champion.changed", resource, payload=facts)


def tell_drift(drift: Drift) -> None:
    """Tell of the measures beyond their thresholds; without one nothing is told."""
    if drift.breaches:
        emit_event(
            "eqn.drift.breached",
            {"prefect.resource.id": f"eqn.dataset.{drift.dataset}", "prefect.resource.name": drift.dataset},
            payload={"dataset": drift.dataset, "release": drift.release, "breaches": list(drift.breaches)},
        )
