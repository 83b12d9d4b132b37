//! The texts of each subcommand.

use super::page::{Manual, Note, Row};
use crate::domain::exit::Exit;

/// The texts of the program and of every subcommand.
pub const ALL: [&Manual; 22] = [
    &IMBULK,
    &INIT,
    &DOCTOR,
    &RUN,
    &PLAN,
    &STATUS,
    &CTL,
    &RESULTS,
    &REPORT,
    &HISTORY,
    &RETRY,
    &VERIFY,
    &RESTORE,
    &CERTIFY,
    &VERIFY_CERTIFICATE,
    &FORGET,
    &EXPLAIN,
    &SANDBOX,
    &USERSIG,
    &SCHEMA,
    &COMPLETIONS,
    &MAN,
];

const SECRET_KEY: Row = ("IMBULK_SECRET_KEY", "secret key of the app; UserSigs are made from it");
const SECRET_KEY_FILE: Row = ("IMBULK_SECRET_KEY_FILE", "file with the secret key (mode 0600 or 0400)");
const USER_SIG: Row = ("IMBULK_USERSIG", "a UserSig, instead of a key");
const SECRET_OF_APP: Row = ("IMBULK_SECRET_KEY_N, …", "each of these three for the app with the SDKAppID N only");
const SDKAPPID: Row = ("IMBULK_SDKAPPID", "overrides `sdkappid` in [app]");
const IDENTIFIER: Row = ("IMBULK_IDENTIFIER", "overrides `identifier` in [app]");
const ENDPOINT: Row = ("IMBULK_ENDPOINT", "overrides `endpoint` and `region` in [app]");
const QUEUE: Row = ("IMBULK_QUEUE", "queue file, if --queue is not given");
const PROXY: Row = ("HTTPS_PROXY, ALL_PROXY, HTTP_PROXY, NO_PROXY", "proxy for calls to a real app");
const TIME_ZONE: Row = ("TZ", "time zone of times in job files and of printed times");

/// What commands read that load or send.
const SESSION_VARIABLES: &[Row] =
    &[SECRET_KEY, SECRET_KEY_FILE, USER_SIG, SECRET_OF_APP, SDKAPPID, IDENTIFIER, ENDPOINT, QUEUE, PROXY, TIME_ZONE];
/// What commands read that look at a queue.
const READER_VARIABLES: &[Row] = &[QUEUE, TIME_ZONE];

const JOB_FILE: Row = ("JOB", "job file: operation, input, limits and guards");
const QUEUE_FILE: Row = ("imbulk.db", "the queue; imbulk.db-wal and imbulk.db-shm belong to it while it is open");
const LEDGER: Row =
    ("/tmp/imbulk-*.slots", "the ledgers, through which the processes of this machine share the call limits of an app");

const SESSION_FILES: &[Row] = &[JOB_FILE, QUEUE_FILE, LEDGER];

const IO_ERROR: (Exit, &str) = (Exit::Internal, "internal error or I/O error");
const UNUSABLE: (Exit, &str) =
    (Exit::Unusable, "usage error, or the job file, the environment or the input cannot be used");
const NOT_FOUND: (Exit, &str) = (Exit::Unusable, "usage error, unknown name, or the queue cannot be used");
const USAGE: (Exit, &str) = (Exit::Unusable, "usage error");
const HALTED: (Exit, &str) = (Exit::Halted, "halted or refused (fatal code, guard, outage, full disk); rows are left");
const STOPPED: (Exit, &str) =
    (Exit::Stopped, "stopped by a signal, --limit, a time limit or `imbulk ctl`; rows are left for the next run");
const IN_USE: (Exit, &str) = (Exit::InUse, "another process owns the queue");

/// The exit codes of a session that sends.
const SESSION_EXITS: &[(Exit, &str)] = &[
    (Exit::Done, "done: every row succeeded, already_done, duplicate or protected"),
    IO_ERROR,
    UNUSABLE,
    (
        Exit::DoneWithFailures,
        "done, with failed, in_doubt or rejected rows; rejected rows do not count if input.rejects = \"allow\"",
    ),
    HALTED,
    STOPPED,
    IN_USE,
];

/// The program.
pub const IMBULK: Manual = Manual {
    name: "",
    examples: &[
        ("imbulk init purge --operation account_delete --from leavers.csv", "write a job file"),
        ("imbulk run purge.toml --sandbox", "send it to the sandbox"),
        ("imbulk plan purge.toml", "show what would be sent to the app"),
    ],
    notes: &[],
    files: SESSION_FILES,
    environment: SESSION_VARIABLES,
    exits: SESSION_EXITS,
};

/// `imbulk init`
pub const INIT: Manual = Manual {
    name: "init",
    examples: &[
        ("imbulk init purge --operation account_delete --from leavers.csv", "a job for a file"),
        ("imbulk init unfriend --operation friend_delete --from 'pairs/*.jsonl'", "a job for several files"),
        ("imbulk init purge --operation account_delete", "a template"),
    ],
    notes: &[],
    files: &[
        ("NAME.toml", "the job file; an existing one is an error"),
        ("NAME.protected.txt", "the protected list, if the operation requires one; an existing one is kept"),
        ("imbulk.env.example", "the variables of the environment; an existing one is kept"),
        ("imbulk-job.schema.json", "the schema that editors read; an existing one is kept"),
    ],
    environment: &[],
    exits: &[
        (Exit::Done, "written; a note on stderr names columns that must be chosen"),
        IO_ERROR,
        (Exit::Unusable, "usage error, NAME.toml exists, or the input file cannot be used"),
    ],
};

/// `imbulk doctor`
pub const DOCTOR: Manual = Manual {
    name: "doctor",
    examples: &[
        ("imbulk doctor purge.toml", "check the job and its app"),
        ("imbulk doctor purge.toml --sandbox", "check the job without an app"),
        ("imbulk doctor purge.toml --conformance > profile.json", "measure how the server answers"),
    ],
    notes: &[],
    files: SESSION_FILES,
    environment: SESSION_VARIABLES,
    exits: &[
        (Exit::Done, "a run is possible; there may be warnings"),
        IO_ERROR,
        (Exit::Unusable, "usage error, or the job file or the environment cannot be used"),
        (Exit::DoneWithFailures, "the server differs from what imbulk expects (--conformance)"),
        (Exit::Halted, "an error would prevent a run"),
    ],
};

/// `imbulk run`
pub const RUN: Manual = Manual {
    name: "run",
    examples: &[
        ("imbulk run purge.toml", "show the plan, send nothing"),
        ("imbulk run purge.toml --sandbox", "rehearse on the mock server"),
        ("imbulk run purge.toml --execute", "ask on a terminal, then send"),
        ("imbulk run purge.toml --execute --yes", "send without a question"),
        ("imbulk run purge.toml --execute --limit 100", "send at most 100 items"),
    ],
    notes: &[],
    files: SESSION_FILES,
    environment: SESSION_VARIABLES,
    exits: SESSION_EXITS,
};

/// `imbulk plan`
pub const PLAN: Manual = Manual {
    name: "plan",
    examples: &[("imbulk plan purge.toml", "what would be sent"), ("imbulk plan purge.toml --json", "for a program")],
    notes: &[],
    files: SESSION_FILES,
    environment: SESSION_VARIABLES,
    exits: &[
        (Exit::Done, "planned"),
        IO_ERROR,
        UNUSABLE,
        (Exit::Halted, "`imbulk run` would refuse to send this plan"),
        (Exit::Stopped, "interrupted by a signal"),
        IN_USE,
    ],
};

/// `imbulk status`
pub const STATUS: Manual = Manual {
    name: "status",
    examples: &[
        ("imbulk status", "all runs"),
        ("imbulk status purge", "the latest run of job purge, with its progress"),
        ("imbulk status purge --watch", "the same every 2 seconds, until the run ends"),
        ("imbulk status 0190e8b0 --json", "a run by the beginning of its id"),
    ],
    notes: &[],
    files: &[QUEUE_FILE],
    environment: READER_VARIABLES,
    exits: &[(Exit::Done, "shown, also if Ctrl-C ended --watch"), IO_ERROR, NOT_FOUND],
};

/// `imbulk ctl`
pub const CTL: Manual = Manual {
    name: "ctl",
    examples: &[
        ("imbulk ctl purge pause", "no new call begins; calls in flight end"),
        ("imbulk ctl purge resume", "calls begin again"),
        ("imbulk ctl purge drain", "calls in flight end, then the session"),
        ("imbulk ctl purge rate 50", "at most 50 calls per second"),
    ],
    notes: &[],
    files: &[QUEUE_FILE, ("imbulk.db-control", "instructions that no process has applied yet")],
    environment: READER_VARIABLES,
    exits: &[
        (Exit::Done, "applied, or stored for the process that owns the queue"),
        IO_ERROR,
        (
            Exit::Unusable,
            "unknown name, a rate above the limit of a job that is being sent, or no right to write the queue",
        ),
    ],
};

/// `imbulk results`
pub const RESULTS: Manual = Manual {
    name: "results",
    examples: &[
        ("imbulk results purge --output purge.results.csv", "all rows"),
        ("imbulk results purge --outcome failed,in_doubt", "rows that need a look"),
        ("imbulk results purge --format jsonl", "one JSON object per line"),
    ],
    notes: &[Note {
        title: "Outcomes",
        text: "succeeded, already_done, failed, in_doubt, pending, rejected, duplicate, protected.",
        rows: &[],
    }],
    files: &[QUEUE_FILE],
    environment: READER_VARIABLES,
    exits: &[
        (Exit::Done, "exported"),
        IO_ERROR,
        (Exit::Unusable, "usage error, unknown name, or the queue or the output file cannot be used"),
        (Exit::Stopped, "interrupted by a signal"),
    ],
};

/// `imbulk history`
pub const HISTORY: Manual = Manual {
    name: "history",
    examples: &[
        ("imbulk history trial_0001", "for a person"),
        ("imbulk history trial_0001 --json", "for a program"),
        ("imbulk history -- -5", "an id that looks like an option"),
    ],
    notes: &[],
    files: &[QUEUE_FILE],
    environment: READER_VARIABLES,
    exits: &[
        (Exit::Done, "shown, also if no row names the account"),
        IO_ERROR,
        (Exit::Unusable, "usage error, or the queue cannot be used"),
    ],
};

/// `imbulk report`
pub const REPORT: Manual = Manual {
    name: "report",
    examples: &[
        ("imbulk report purge --output purge.html", "a page for people"),
        ("imbulk report purge --output purge.json", "the same figures for programs"),
        ("imbulk report purge --output purge.md", "to paste into a message"),
        ("imbulk report purge --output purge.html --lang zh", "a page in Chinese"),
    ],
    notes: &[Note {
        title: "Personal data",
        text: "A report names rows by file and line, never by the id of an account. The reason for which a run ended \
               can quote one.",
        rows: &[],
    }],
    files: &[QUEUE_FILE],
    environment: READER_VARIABLES,
    exits: &[
        (Exit::Done, "written"),
        IO_ERROR,
        (Exit::Unusable, "usage error, unknown name, or the queue or the output file cannot be used"),
        (Exit::Stopped, "interrupted by a signal"),
    ],
};

/// `imbulk retry`
pub const RETRY: Manual = Manual {
    name: "retry",
    examples: &[
        ("imbulk retry purge", "all failed items"),
        ("imbulk retry purge --code 70500", "failed items with this code"),
        ("imbulk retry purge --outcome in_doubt", "items whose effect is unknown"),
        ("imbulk retry purge --verified contradicted", "items whose effect is not there any more"),
        ("imbulk run purge.toml --execute", "sends them"),
    ],
    notes: &[],
    files: &[QUEUE_FILE],
    environment: READER_VARIABLES,
    exits: &[(Exit::Done, "done"), IO_ERROR, NOT_FOUND, IN_USE],
};

/// `imbulk verify`
pub const VERIFY: Manual = Manual {
    name: "verify",
    examples: &[
        ("imbulk verify purge", "look up every row that ended well"),
        ("imbulk verify purge --sample 1000", "look up 1,000 random items"),
        ("imbulk verify purge --outcome in_doubt", "look up rows whose effect is unknown"),
        ("imbulk retry purge --verified contradicted", "make rows without their effect pending again"),
    ],
    notes: &[Note {
        title: "Results",
        text: "confirmed: the requested state is there. contradicted: another state is there. unknown: the lookup \
               showed nothing.",
        rows: &[],
    }],
    files: &[QUEUE_FILE, LEDGER],
    environment: &[
        SECRET_KEY,
        SECRET_KEY_FILE,
        USER_SIG,
        SECRET_OF_APP,
        ("IMBULK_IDENTIFIER", "admin account that signs the calls, if not that of the run"),
        ("IMBULK_ENDPOINT", "server, if not that of the run"),
        QUEUE,
        PROXY,
        TIME_ZONE,
    ],
    exits: &[
        (Exit::Done, "every row that was looked up is confirmed"),
        IO_ERROR,
        (Exit::Unusable, "usage error, unknown name, or the queue or the environment cannot be used"),
        (Exit::DoneWithFailures, "done, with contradicted or unknown rows"),
        (Exit::Halted, "halted (fatal code, outage, full disk); rows are left"),
        (Exit::Stopped, "stopped by a signal, `limits.calls_per_day` or `imbulk ctl`; rows are left: run it again"),
        IN_USE,
    ],
};

/// `imbulk restore`
pub const RESTORE: Manual = Manual {
    name: "restore",
    examples: &[
        ("imbulk restore backups/unfriend-0190e8b0-*.zst", "write the jobs"),
        ("imbulk plan unfriend-restore/friends.toml", "show what would be sent"),
        ("imbulk run unfriend-restore/friends.toml --execute", "send it"),
    ],
    notes: &[Note {
        title: "Queue",
        text: "If the queue has the run, it proves files whose session was killed. It is only read.",
        rows: &[],
    }],
    files: &[
        ("JOB-restore/accounts.toml, friends.toml", "the jobs; run the accounts first"),
        ("JOB-restore/accounts.jsonl, friends.jsonl", "their rows"),
        QUEUE_FILE,
    ],
    environment: &[QUEUE],
    exits: &[
        (Exit::Done, "written"),
        IO_ERROR,
        (Exit::Unusable, "usage error, the backup is damaged, incomplete or empty, or the folder exists"),
    ],
};

/// `imbulk certify`
pub const CERTIFY: Manual = Manual {
    name: "certify",
    examples: &[
        ("imbulk certify purge --key ~/.ssh/id_ed25519 --output purge.json", "certify the latest run"),
        ("imbulk certify purge --prove user_1 --output user_1.proof", "prove the row of one account"),
        ("imbulk verify-certificate purge.json --proof user_1.proof", "check both"),
    ],
    notes: &[Note {
        title: "Personal data",
        text: "A certificate has no id of an account. A proof has one. `imbulk forget` removes the secret of the run, \
               after which no proof can be made; certificates and proofs that exist stay valid.",
        rows: &[],
    }],
    files: &[QUEUE_FILE, ("FILE, FILE.sig", "the certificate, and its signature by ssh-keygen")],
    environment: READER_VARIABLES,
    exits: &[
        (Exit::Done, "written"),
        IO_ERROR,
        (Exit::Unusable, "usage error, unknown name, unfinished run, no such account, or ssh-keygen cannot sign"),
        (Exit::Stopped, "interrupted by a signal"),
        IN_USE,
    ],
};

/// `imbulk verify-certificate`
pub const VERIFY_CERTIFICATE: Manual = Manual {
    name: "verify-certificate",
    examples: &[
        ("imbulk verify-certificate purge.json --allowed-signers signers", "check who signed it"),
        ("imbulk verify-certificate purge.json --proof user_1.proof", "check a proof"),
        ("imbulk verify-certificate c3.json --previous c1.json c2.json", "check that the chain is complete"),
    ],
    notes: &[],
    files: &[("FILE, FILE.sig", "the certificate, and its signature by ssh-keygen")],
    environment: &[],
    exits: &[
        (Exit::Done, "everything that was given is valid"),
        (Exit::Unusable, "usage error, a file cannot be read, or ssh-keygen cannot be run"),
        (Exit::DoneWithFailures, "not valid: stderr says why"),
    ],
};

/// `imbulk forget`
pub const FORGET: Manual = Manual {
    name: "forget",
    examples: &[
        ("imbulk forget --older-than 90d", "show what would be removed"),
        ("imbulk forget --older-than 90d --execute", "ask on a terminal, then remove"),
        ("imbulk forget --run 0190e8b0 --execute --yes", "remove one run without a question"),
    ],
    notes: &[],
    files: &[QUEUE_FILE],
    environment: READER_VARIABLES,
    exits: &[
        (Exit::Done, "shown or removed, also if there is no such run"),
        IO_ERROR,
        (Exit::Unusable, "usage error, unknown name, not confirmed, or the queue cannot be used"),
        (Exit::Stopped, "interrupted by a signal"),
        IN_USE,
    ],
};

/// `imbulk explain`
pub const EXPLAIN: Manual = Manual {
    name: "explain",
    examples: &[
        ("imbulk explain 70107", "for a person"),
        ("imbulk explain purge-trial-accounts", "the codes of the job's latest run"),
        ("imbulk explain --list --class fatal", "all codes that halt a run"),
        ("imbulk explain 70107 --lang zh", "in Chinese"),
        ("imbulk explain 60008 --json", "for a program"),
    ],
    notes: &[],
    files: &[QUEUE_FILE],
    environment: READER_VARIABLES,
    exits: &[(Exit::Done, "explained, also for an unknown number"), IO_ERROR, NOT_FOUND],
};

/// `imbulk sandbox`
pub const SANDBOX: Manual = Manual {
    name: "sandbox",
    examples: &[
        ("imbulk sandbox", ""),
        ("imbulk sandbox --latency 50ms --jitter 20ms", ""),
        ("imbulk sandbox --fault account_delete:http=503:0.05 --missing 0.01", ""),
        ("imbulk sandbox --fault any:code=60008:#3 --fault friend_delete:item=30006:0.1", ""),
    ],
    notes: &[Note {
        title: "Faults",
        text: "COMMAND is the last part of the path of an API command, such as account_delete or friend_check, or \
               `any`; WHEN is a share of the calls from 0 to 1, or #N for the N-th call. Common kinds:",
        rows: &[
            ("code=N, http=STATUS", "the call fails with this code or HTTP status"),
            ("reset, close, silence", "the connection is reset, closed, or stays silent"),
            ("reset-after, close-after", "the same after the call has had its effect"),
            ("slow=TIME", "the answer takes this much longer"),
            ("item=N, partial=N", "items fail with this code, or take effect in part"),
            ("missing, duplicate", "items are missing or repeated in the answer"),
        ],
    }],
    files: &[],
    environment: &[
        ("IMBULK_SDKAPPID, IMBULK_IDENTIFIER", "app and admin account"),
        (
            "IMBULK_SECRET_KEY, IMBULK_SECRET_KEY_FILE",
            "key to check signatures with; without it every well-formed signature is accepted",
        ),
    ],
    exits: &[(Exit::Done, "ended by Ctrl-C"), IO_ERROR, USAGE],
};

/// `imbulk usersig`
pub const USERSIG: Manual = Manual {
    name: "usersig",
    examples: &[
        ("imbulk usersig purge.toml", "for the app of a job"),
        ("IMBULK_SDKAPPID=1400000001 imbulk usersig purge.toml", "for another app"),
    ],
    notes: &[Note { title: "Validity", text: "The UserSig is valid for 24 hours.", rows: &[] }],
    files: &[JOB_FILE],
    environment: &[SECRET_KEY, SECRET_KEY_FILE, USER_SIG, SECRET_OF_APP, SDKAPPID, IDENTIFIER],
    exits: &[(Exit::Done, "printed"), IO_ERROR, (Exit::Unusable, "the job file or the environment cannot be used")],
};

/// `imbulk schema`
pub const SCHEMA: Manual = Manual {
    name: "schema",
    examples: &[
        ("imbulk schema job > imbulk-job.schema.json", "the schema of job files"),
        ("imbulk schema run", "the schema of what `imbulk run JOB --json` prints"),
    ],
    notes: &[Note {
        title: "Editors",
        text: "Editors with Taplo read the first line of a job file: #:schema ./imbulk-job.schema.json",
        rows: &[],
    }],
    files: &[],
    environment: &[],
    exits: &[(Exit::Done, "printed"), USAGE],
};

/// `imbulk completions`
pub const COMPLETIONS: Manual = Manual {
    name: "completions",
    examples: &[
        ("source <(imbulk completions bash)", "in ~/.bashrc"),
        ("source <(imbulk completions zsh)", "in ~/.zshrc"),
        ("imbulk completions fish | source", "in ~/.config/fish/config.fish"),
    ],
    notes: &[Note {
        title: "Values",
        text: "The shell asks imbulk for each completion: job names, run ids once a character is typed, targets and \
               outcomes. imbulk reads the queue that IMBULK_QUEUE names, or imbulk.db in the current folder, and \
               creates none.",
        rows: &[],
    }],
    files: &[QUEUE_FILE],
    environment: &[QUEUE],
    exits: &[(Exit::Done, "printed"), IO_ERROR, USAGE],
};

/// `imbulk man`
pub const MAN: Manual = Manual {
    name: "man",
    examples: &[
        ("imbulk man run | man -l -", "read the page of `imbulk run`"),
        ("imbulk man --output ~/.local/share/man/man1", "install all pages"),
    ],
    notes: &[],
    files: &[("imbulk.1, imbulk-run.1, …", "the pages that --output writes, one for each subcommand")],
    environment: &[],
    exits: &[(Exit::Done, "printed or written"), IO_ERROR, USAGE],
};
