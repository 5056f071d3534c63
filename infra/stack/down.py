"""`make down`: ends everything that the stack started, and keeps its data."""

from infra.stack import postgres, storage, supervision
from infra.stack.places import Places, recall
from infra.stack.processes import STACK, end_marked


def down(places: Places) -> bool:
    """End the stack; tell whether there is one here.

    Raises:
        Conflict: it is being started or ended by somebody else.

    """
    if not places.exist():
        return False
    with places.locked():
        memory = recall(places)
        supervision.end(places, memory)
        # Flow runs that outlived their worker, and whatever a killed supervisord has left.
        postgres.end_left_over(memory)
        end_marked(seconds=10.0, **{STACK: memory.identity})
        storage.end(places)
        places.clear_scratch()
    return True
