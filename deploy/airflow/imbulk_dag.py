"""A nightly imbulk job in Airflow 2.7 or later, on a worker or in Kubernetes.

Exit code 0 is a success and 5 (stopped with work left, the next night continues) is a skip. Every other code fails
the DAG run, so that a person looks. Nothing is repeated by Airflow: a repetition after exit code 4 would send the
rest although a guard has halted the run. The next night resumes a run that was killed or had an I/O error.
"""

from __future__ import annotations

import pendulum
from airflow import DAG
from airflow.operators.bash import BashOperator

# Exit codes that are neither a success nor a failure.
SKIP_ON_EXIT_CODE = [5]

ARGUMENTS = {
    "owner": "data",
    "retries": 0,
    "email_on_failure": True,
    "email": ["ops@example.com"],
}

with DAG(
    dag_id="imbulk_purge",
    schedule="15 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Shanghai"),
    # A night that was missed is not caught up by day, and two nights never overlap.
    catchup=False,
    max_active_runs=1,
    default_args=ARGUMENTS,
    tags=["imbulk"],
) as dag:
    # All workers of this queue (`queue=`) must be one host: the file imbulk.db is on its local disk.
    BashOperator(
        task_id="purge",
        queue="cleanup-host",
        bash_command="exec imbulk run purge.toml --execute",
        cwd="/srv/cleanup",
        env={"IMBULK_SECRET_KEY_FILE": "/srv/cleanup/secret.key", "TZ": "Asia/Shanghai"},
        append_env=True,
        skip_on_exit_code=SKIP_ON_EXIT_CODE,
    )
