"""A team's servers on one machine, without containers: `make up`, `make status`, `make down`.

PostgreSQL, an S3 service (Ceph), an MLflow server, a Prefect server, two workers, and EQN's own servers of metrics and
pages, all on loopback, with their state in `stack` inside EQN's state folder. Everything but S3 is kept running by
supervisord.
"""
