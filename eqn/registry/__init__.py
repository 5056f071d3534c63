"""What was tried and what annotates: MLflow tracking, registered versions, and who is champion.

    decision       whether a candidate replaces the champion: a function of figures, nothing else
    connection     the one way to MLflow: quiet, addressed explicitly, its errors told in EQN's words
    tracking       one run, from its parameters to its end
    logged_model   a model package as an MLflow model that others can serve
    pyfunc_model   the code that such a model runs in MLflow's own loaders; EQN never runs it
    versions       registered versions: register, find, list
    description    what people read about them on MLflow's pages
    resolution     from what a person types to a verified package on this machine
    champions      the champion alias and its history
    leases         one promoter at a time, and what each of them did
    promotion      a decision, made and carried out, or held for a person
    answers        what a person said to a promotion
    contest        a candidate beside the champion on the same rows
    training_run   a training that is tracked, registered, and not done twice

MLflow is imported inside functions only (and in `pyfunc_model`, which only MLflow loads).
"""
