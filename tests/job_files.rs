//! The job files in `jobs/` are what users copy, and wrong ones must say where they are wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imbulk::domain::guard::Protected;
use imbulk::domain::hint::Hint;
use imbulk::domain::job::{Delimiter, Encoding, EndpointChoice, Job, Protection, RejectPolicy};
use imbulk::domain::operation;
use imbulk::domain::time_limit::{TimeOfDay, TimeOfDayLimit};
use imbulk::settings::{Env, JobFileError, load_job, load_protected};
use rstest::rstest;

fn jobs() -> Vec<PathBuf> {
    let folder = fs::read_dir("jobs").expect("the folder is there");
    let files = folder.map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|ext| ext == "toml")).collect();
    files.sort();
    files
}

fn load(path: &Path) -> Job {
    load_job(path, &Env::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Loads `text` as a job file `job.toml` in a folder of its own.
fn load_text(text: &str) -> Result<Job, JobFileError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("job.toml");
    fs::write(&path, text).expect("written");
    load_job(&path, &Env::default())
}

/// Everything of a job except the place of its file.
fn settings(job: &Job) -> String {
    let input = (job.input.encoding, job.input.rejects);
    let what = (&job.name, job.operation.name, job.operation.options_json());
    let guard = (job.guard.max_rejected.unwrap_or(0.1), job.guard.canary, job.guard.max_already_done, job.guard.hold);
    format!("{what:?} {input:?} {:?} {:?} {:?} {guard:?} {:?}", job.app, job.limits, job.retry, job.stop)
}

#[test]
fn every_job_file_loads_and_so_does_its_protected_list() {
    for file in jobs() {
        let job = load(&file);
        for path in &job.input.paths {
            assert!(Path::new(path).is_file(), "{}: no {path}", file.display());
        }
        let protected = load_protected(&job).unwrap_or_else(|error| panic!("{error}"));
        if matches!(job.guard.protected, Some(Protection::File { .. })) {
            assert!(protected.protects("official_news"), "{}", file.display());
        }
    }
}

#[test]
fn every_operation_has_a_job_file() {
    for operation in operation::ALL {
        let file = format!("jobs/{}.toml", operation.name.replace('_', "-"));
        assert_eq!(load(Path::new(&file)).operation.name, operation.name);
    }
}

#[test]
fn the_defaults_that_the_job_files_state_are_the_real_ones() {
    let mut stated = 0;
    for file in jobs() {
        let text = fs::read_to_string(&file).expect("readable");
        let states = |line: &str| line.starts_with("# ") && line.contains("# default");
        stated += text.lines().filter(|line| states(line)).count();
        let said: Vec<&str> = text.lines().map(|line| if states(line) { &line[2..] } else { line }).collect();
        let said = load_text(&said.join("\n")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(settings(&said), settings(&load(&file)), "{}", file.display());
    }
    assert!(stated >= 11, "only {stated} defaults are stated");
}

#[test]
fn the_quickstart_needs_neither_app_nor_environment() {
    let job = load(Path::new("jobs/quickstart.toml"));
    assert_eq!((job.app.sdkappid, job.app.identifier, job.app.endpoint), (None, None, None));
    assert!(job.operation.is_set("delete_type", "both"));
}

#[test]
fn the_quickstart_holds_rows_of_every_kind() {
    let text = fs::read_to_string("jobs/quickstart.csv").expect("readable");
    let protected = fs::read_to_string("jobs/never-delete.txt").expect("readable");
    let protected = Protected::parse(&protected, &[]).expect("a good list");
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let mut pairs: Vec<_> = rows.iter().filter(|row| row.len() == 2).collect();
    let named = pairs.iter().filter(|row| row.iter().any(|id| protected.protects(id))).count();
    let all = pairs.len();
    pairs.sort();
    pairs.dedup();
    assert!((3_900..4_100).contains(&rows.len()), "{} rows", rows.len());
    assert!(named >= 10 && all - pairs.len() >= 50 && rows.len() - all >= 3);
    assert!(rows.iter().any(|row| row.iter().any(|id| id.len() > 32)));
}

#[test]
fn a_job_file_with_every_key_is_read_as_written() {
    let job = load_text(
        r#"
        name = "a.b-c_1"
        operation = "friend_update"
        [input]
        path = ["a.csv.gz", "b/*.jsonl", "/abs.csv"]
        columns = { From_Account = "from", "Tag_SNS_Custom_Level" = "level" }
        encoding = "gbk"
        delimiter = "\t"
        rejects = "allow"
        [app]
        sdkappid = 7
        identifier = "boss"
        endpoint = "http://127.0.0.1:1"
        [limits]
        calls_per_second = 300
        app_calls_per_second = 500
        max_in_flight = 3
        cap_was_raised = true
        [retry]
        max_attempts = 1
        base_delay = "1ms"
        max_delay = "1m 60s"
        [guard]
        max_items = 2_000_000
        protected = "/never.txt"
        min_items = 10
        max_change = 3
        max_rejected = 0
        max_already_done = 0.5
        canary = 0
        hold = "3d"
        [stop]
        failed_share = 1
        after_items = 5
        outage = "never"
        until = "23:59"
        max_runtime = "4h"
        "#,
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert!(job.input.paths[0].ends_with("/a.csv.gz") && job.input.paths[0].starts_with('/'));
    assert!(job.input.paths[1].ends_with("/b/*.jsonl"));
    assert_eq!(job.input.paths[2], "/abs.csv");
    assert_eq!((&*job.input.columns["Tag_SNS_Custom_Level"], job.input.rejects), ("level", RejectPolicy::Allow));
    assert_eq!((job.input.encoding, job.input.delimiter), (Encoding::Gbk, Some(Delimiter::Tab)));
    assert_eq!(job.app.endpoint, Some(EndpointChoice::Url("http://127.0.0.1:1".to_owned())));
    assert_eq!((job.limits.calls_per_second.get(), job.limits.app_calls_per_second.get()), (300, 500));
    assert_eq!(job.limits.max_in_flight.map(Into::into), Some(3_u32));
    assert_eq!((job.retry.max_attempts.get(), job.retry.max_delay.as_secs()), (1, 120));
    assert_eq!((job.guard.max_items.map(Into::into), job.guard.max_change), (Some(2_000_000_u64), Some(3.0)));
    assert_eq!(job.guard.protected, Some(Protection::File { path: PathBuf::from("/never.txt"), line: 25 }));
    assert_eq!((job.guard.min_items.map(Into::into), job.guard.max_rejected), (Some(10_u64), Some(0.0)));
    assert_eq!((job.guard.max_already_done, job.guard.canary), (Some(0.5), Some(0)));
    assert_eq!((job.stop.failed_share, job.stop.after_items), (1.0, 5));
    assert_eq!((job.stop.outage, job.guard.hold), (None, Some(Duration::from_hours(72))));
    assert_eq!(job.times.daily, Some(TimeOfDayLimit::Until(TimeOfDay { hour: 23, minute: 59 })));
    assert_eq!(job.times.max_runtime, Some(Duration::from_hours(4)));
}

#[test]
fn a_folder_named_like_a_pattern_stays_a_folder_in_front_of_a_glob() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("[old] *");
    fs::create_dir(&folder).expect("created");
    fs::write(folder.join("a.csv"), "UserID\n").expect("written");
    let file = folder.join("job.toml");
    let load_path = |path: &str| {
        let text = format!("name = \"a\"\noperation = \"account_delete\"\ninput.path = \"{path}\"");
        fs::write(&file, text).expect("written");
        load(&file).input.paths.remove(0)
    };
    assert_eq!(Path::new(&load_path("a.csv")), folder.join("a.csv"));
    let pattern = glob::Pattern::new(&load_path("*.csv")).expect("a pattern");
    assert!(pattern.matches_path(&folder.join("a.csv")));
    assert_eq!(load_path("-"), "-");
}

#[test]
fn the_environment_overrides_the_app_of_the_job_file() {
    let env = Env::of_variables([
        ("IMBULK_SDKAPPID".into(), "42".into()),
        ("IMBULK_ENDPOINT".into(), "http://127.0.0.1:9".into()),
    ]);
    let job = load_job(Path::new("jobs/account-delete.toml"), &env.expect("good")).expect("loads");
    assert_eq!(job.app.sdkappid.map(Into::into), Some(42_u64));
    assert_eq!(job.app.endpoint, Some(EndpointChoice::Url("http://127.0.0.1:9".to_owned())));
    assert_eq!(job.app.identifier.as_deref(), Some("administrator"));
}

#[test]
fn the_admin_is_protected_without_any_list() {
    let job = load_text(&format!("{DELETE}[app]\nidentifier = \"boss\"\n")).expect("loads");
    assert!(load_protected(&job).expect("nothing to read").protects("boss"));
}

/// The start of a good job file: four lines.
const DELETE: &str = "name = \"a\"\noperation = \"account_delete\"\n[input]\npath = \"a.csv\"\n";
const UNFRIEND: &str = "name = \"a\"\noperation = \"friend_delete\"\n[input]\npath = \"a.csv\"\n";

#[rstest]
#[case("", "", "1: `name` is missing")]
#[case("", "name = \"a\"\noperation = \"account_delete\"\n", "1: `input` is missing")]
#[case("", "name = \"a\"\noperation = \"account_delete\"\n[input]\n", "3: input: `path` is missing")]
#[case("", "name = 1\n", "1: name: expected a text in quotes, found integer `1`")]
#[case("", "name = \"a", "1: invalid basic string, expected `\"`")]
#[case("", "name = \"a\"\nname = \"b\"\n", "2: duplicate key")]
#[case(
    "",
    "name = \"nightly run\"\noperation = \"account_delete\"\ninput.path = \"-\"\n",
    "1: name: `nightly run` is not a name for a job | use letters, digits, `-`, `_` and `.`, at most 64; start with a \
     letter or digit"
)]
#[case(
    "",
    "name = \"-a\"\noperation = \"account_delete\"\ninput.path = \"-\"\n",
    "1: name: `-a` is not a name for a job | use letters, digits, `-`, `_` and `.`, at most 64; start with a letter \
     or digit"
)]
#[case(
    "",
    "name = \"\"\noperation = \"account_delete\"\ninput.path = \"-\"\n",
    "1: name: `` is not a name for a job | use letters, digits, `-`, `_` and `.`, at most 64; start with a letter or \
     digit"
)]
#[case(
    "",
    "name = \"a\"\noperation = \"delete_account\"\ninput.path = \"-\"\n",
    "2: operation: unknown value `delete_account` | expected one of `account_delete`, `friend_delete`, \
     `friend_delete_all`, `friend_update`, `friend_import`, `account_import`"
)]
#[case(
    "",
    "name = \"a\"\noperation = \"friend_delet\"\ninput.path = \"-\"\n",
    "2: operation: unknown value `friend_delet` | did you mean `friend_delete`? expected one of `account_delete`, \
     `friend_delete`, `friend_delete_all`, `friend_update`, `friend_import`, `account_import`"
)]
#[case(
    "",
    "name = \"a\"\noperation = \"account_delete\"\ninput.path = 3\n",
    "3: input.path: expected a file or a list of files, each in quotes"
)]
#[case(
    "",
    "name = \"a\"\noperation = \"account_delete\"\ninput.path = []\n",
    "3: input.path: no file is named | name a file, a list of files, a glob, or \"-\""
)]
#[case(
    "",
    "name = \"a\"\noperation = \"account_delete\"\ninput.path = [\"a\", \"\"]\n",
    "3: input.path: no file is named | name a file, a list of files, a glob, or \"-\""
)]
#[case(
    "",
    "name = \"a\"\noperation = \"account_delete\"\ninput.path = [\"a\", \"-\"]\n",
    "3: input.path: standard input cannot be combined with files | write path = \"-\" alone"
)]
#[case(
    "",
    "name = \"a\"\noperation = \"account_delete\"\ninputs.path = \"-\"\n",
    "3: unknown key `inputs` | did you mean `input`? expected one of `name`, `operation`, `priority`, `input`, \
     `options`, `app`, `limits`, `retry`, `guard`, `stop`, `report`, `notify`, `backup`"
)]
#[case(
    DELETE,
    "pth = \"b.csv\"\n",
    "5: input: unknown key `pth` | did you mean `path`? expected one of `path`, `columns`, `encoding`, `delimiter`, \
     `rejects`, `unusual_ids`"
)]
#[case(
    DELETE,
    "encoding = \"utf8\"\n",
    "5: input.encoding: unknown value `utf8` | did you mean `utf-8`? expected one of `utf-8`, `gbk`"
)]
#[case(DELETE, "delimiter = \":\"\n", "5: input.delimiter: unknown value `:` | expected one of `,`, `;`, `tab`, `|`")]
#[case(DELETE, "unusual_ids = true\n", "5: input.unusual_ids: expected a text in quotes, found boolean `true`")]
#[case(
    DELETE,
    "unusual_ids = \"alow\"\n",
    "5: input.unusual_ids: unknown value `alow` | did you mean `allow`? expected one of `reject`, `allow`"
)]
#[case(DELETE, "rejects = \"ignore\"\n", "5: input.rejects: unknown value `ignore` | expected one of `count`, `allow`")]
#[case(
    DELETE,
    "columns = { UserId = \"id\" }\n",
    "5: input.columns: `account_delete` has no column `UserId` | did you mean `UserID`? expected one of `UserID`"
)]
#[case(DELETE, "columns = { UserID = \"\" }\n", "5: input.columns: `UserID` is mapped to an empty name")]
#[case(
    DELETE,
    "columns = { \"用户\" = \"id\" }\n",
    "5: input.columns: `account_delete` has no column `用户` | expected one of `UserID`"
)]
#[case(
    UNFRIEND,
    "columns = { From_Account = \"id\", To_Account = \"id\" }\n[options]\ndelete_type = \"both\"\n",
    "5: input.columns: column `id` is already mapped to `From_Account`"
)]
#[case(
    UNFRIEND,
    "columns = { Tag_SNS_IM_Remark = \"r\" }\n[options]\ndelete_type = \"both\"\n",
    "5: input.columns: `friend_delete` has no column `Tag_SNS_IM_Remark` | expected one of `From_Account`, `To_Account`"
)]
#[case(
    UNFRIEND,
    "",
    "2: options.delete_type: `friend_delete` needs it | in [options], delete_type = \"single\" (From_Account no \
     longer has the friend) or \"both\" (neither has the other)"
)]
#[case(
    UNFRIEND,
    "[options]\ndelete_type = \"Both\"\n",
    "6: options.delete_type: unknown value `Both` | did you mean `both`? expected one of `single`, `both`"
)]
#[case(
    UNFRIEND,
    "[options]\ndelete_typ = \"both\"\n",
    "6: options: unknown key `delete_typ` | did you mean `delete_type`? expected one of `delete_type`"
)]
#[case(
    DELETE,
    "[options]\ndelete_type = \"both\"\n",
    "6: options.delete_type: `account_delete` has no such option | remove the line"
)]
#[case(DELETE, "[app]\nsdkappid = 0\n", "6: app.sdkappid: must be at least 1, not 0")]
#[case(
    DELETE,
    "[app]\nsdkappid = \"1400000001\"\n",
    "6: app.sdkappid: expected a whole number, found string \"1400000001\""
)]
#[case(DELETE, "[app]\nidentifier = \"administrator \"\n", "6: app.identifier: starts or ends with a space")]
#[case(
    DELETE,
    "[app]\nregion = \"singapur\"\n",
    "6: app.region: unknown value `singapur` | did you mean `singapore`? expected one of `china`, `singapore`, \
     `seoul`, `frankfurt`, `silicon-valley`, `jakarta`, `tokyo`, `riyadh`"
)]
#[case(
    DELETE,
    "[app]\nregion = \"china\"\nendpoint = \"https://console.tim.qq.com\"\n",
    "7: app: `region` and `endpoint` are both given | remove one of them"
)]
#[case(
    DELETE,
    "[app]\nendpoint = \"\"\n",
    "6: app.endpoint: is empty | write it like https://adminapisgp.im.qcloud.com, or remove the line"
)]
#[case(
    DELETE,
    "[app]\nsecret_key = \"x\"\n",
    "6: app: `secret_key`: a job file must not contain secrets | remove it, and set IMBULK_SECRET_KEY or \
     IMBULK_USERSIG in the environment"
)]
#[case(
    DELETE,
    "[limits]\ncalls_per_second = 0\n",
    "6: limits.calls_per_second: must be from 1 to 4,294,967,295, not 0"
)]
#[case(
    DELETE,
    "[limits]\ncalls_per_second = 70000\n",
    "6: limits.calls_per_second: 70000 calls/s is above the highest cap, 65536"
)]
#[case(
    DELETE,
    "[limits]\ncalls_per_second = 2.5\n",
    "6: limits.calls_per_second: expected a whole number, found floating point `2.5`"
)]
#[case(DELETE, "[limits]\nmax_in_flight = -1\n", "6: limits.max_in_flight: must be from 1 to 4,294,967,295, not -1")]
#[case(
    DELETE,
    "[limits]\napp_calls_per_second = 4_294_967_296\n",
    "6: limits.app_calls_per_second: must be from 1 to 4,294,967,295, not 4294967296"
)]
#[case(DELETE, "[retry]\nmax_attempts = 0\n", "6: retry.max_attempts: must be from 1 to 4,294,967,295, not 0")]
#[case(
    DELETE,
    "[retry]\nmax_atempts = 3\n",
    "6: retry: unknown key `max_atempts` | did you mean `max_attempts`? expected one of `max_attempts`, `base_delay`, \
     `max_delay`, `carry_over`"
)]
#[case(
    DELETE,
    "[retry]\nbase_delay = \"0s\"\n",
    "6: retry.base_delay: `0s` is not a duration from 1ms to 1d | write a number and its unit: \"500ms\", \"60s\", \
     \"2m\", \"1h 30m\", \"72h\", \"3d\""
)]
#[case(DELETE, "[retry]\nbase_delay = \"2 min\"\n", "6: retry.base_delay: 120s is longer than `max_delay`, 60s")]
#[case(DELETE, "[retry]\nmax_delay = 60\n", "6: retry.max_delay: expected a text in quotes, found integer `60`")]
#[case(DELETE, "[retry]\nbase_delay = \"90s\"\n", "6: retry.base_delay: 90s is longer than `max_delay`, 60s")]
#[case(DELETE, "[retry]\nmax_delay = \"10ms\"\n", "6: retry.base_delay: 500ms is longer than `max_delay`, 10ms")]
#[case(DELETE, "[guard]\nmax_items = 0\n", "6: guard.max_items: must be at least 1, not 0")]
#[case(DELETE, "[guard]\nmax_change = 0.5\n", "6: guard.max_change: must be finite and at least 1, not 0.5")]
#[case(DELETE, "[guard]\nmax_change = nan\n", "6: guard.max_change: must be finite and at least 1, not NaN")]
#[case(DELETE, "[guard]\nmax_change = inf\n", "6: guard.max_change: must be finite and at least 1, not inf")]
#[case(
    DELETE,
    "[guard]\nprotected = \"\"\n",
    "6: guard.protected: no file is named | write protected = \"never-delete.txt\" (one id per line), or protected = \
     [] if no id must stay"
)]
#[case(
    DELETE,
    "[stop]\nfailed_share = 5\n",
    "6: stop.failed_share: must be above 0 and at most 1, not 5 | write 5 % as 0.05"
)]
#[case(
    DELETE,
    "[stop]\nfailed_share = 0\n",
    "6: stop.failed_share: must be above 0 and at most 1, not 0 | write 5 % as 0.05"
)]
#[case(
    DELETE,
    "[guard]\nprotected = [\"admin\"]\n",
    "6: guard.protected: ids cannot be listed in the job file | write protected = \"never-delete.txt\" (one id per \
     line), or protected = [] if no id must stay"
)]
#[case(DELETE, "[guard]\nprotected = 3\n", "6: guard.protected: expected one file in quotes, or [] for no id")]
#[case(DELETE, "[guard]\nprotected = [3]\n", "6: guard.protected: expected one file in quotes, or [] for no id")]
#[case(DELETE, "[guard]\nmin_items = 0\n", "6: guard.min_items: must be at least 1, not 0")]
#[case(DELETE, "[guard]\nmin_items = \"1\"\n", "6: guard.min_items: expected a whole number, found string \"1\"")]
#[case(
    DELETE,
    "[guard]\nmin_items = 6\nmax_items = 5\n",
    "6: guard.min_items: 6 is more than `max_items`, 5 | no input can pass both: change one of them"
)]
#[case(
    DELETE,
    "[guard]\nmax_rejected = 10\n",
    "6: guard.max_rejected: must be from 0 to 1, not 10 | write 5 % as 0.05"
)]
#[case(
    DELETE,
    "[guard]\nmax_rejected = -0.1\n",
    "6: guard.max_rejected: must be from 0 to 1, not -0.1 | write 5 % as 0.05"
)]
#[case(
    DELETE,
    "[guard]\nmax_rejected = nan\n",
    "6: guard.max_rejected: must be from 0 to 1, not NaN | write 5 % as 0.05"
)]
#[case(
    DELETE,
    "[guard]\nmax_already_done = 0\n",
    "6: guard.max_already_done: must be above 0 and at most 1, not 0 | write 5 % as 0.05"
)]
#[case(
    DELETE,
    "[guard]\nmax_already_done = 1.01\n",
    "6: guard.max_already_done: must be above 0 and at most 1, not 1.01 | write 5 % as 0.05"
)]
#[case(DELETE, "[guard]\ncanary = -1\n", "6: guard.canary: must be at least 0, not -1")]
#[case(DELETE, "[guard]\ncanary = 0.5\n", "6: guard.canary: expected a whole number, found floating point `0.5`")]
#[case(
    DELETE,
    "[guard]\nhold = \"3 months\"\n",
    "6: guard.hold: `3 months` is not a duration from 1ms to 365d | write a number and its unit: \"500ms\", \"60s\", \
     \"2m\", \"1h 30m\", \"72h\", \"3d\""
)]
#[case(
    DELETE,
    "[guard]\nhold = \"366d\"\n",
    "6: guard.hold: `366d` is not a duration from 1ms to 365d | write a number and its unit: \"500ms\", \"60s\", \
     \"2m\", \"1h 30m\", \"72h\", \"3d\""
)]
#[case(
    DELETE,
    "[limits]\ncalls_per_second = 101\n",
    "6: limits.calls_per_second: 101 is above the published cap of 100 calls/s | write 100 or less; if Tencent has \
     raised the cap of this app: cap_was_raised = true"
)]
#[case(
    DELETE,
    "[limits]\ncap_was_raised = false\napp_calls_per_second = 201\n",
    "7: limits.app_calls_per_second: 201 is above the published cap of 200 calls/s | write 200 or less; if Tencent \
     has raised the cap of this app: cap_was_raised = true"
)]
#[case(DELETE, "[limits]\ncap_was_raised = 1\n", "6: limits.cap_was_raised: expected true or false, found integer `1`")]
#[case(DELETE, "[stop]\nfailed_share = 0.1\nafter_items = 0\n", "7: stop.after_items: must be at least 1, not 0")]
#[case(
    DELETE,
    "[stop]\nuntil = \"6:00\"\n",
    "6: stop.until: `6:00` is not a time of day | write two digits each for hour and minute, from \"00:00\" to \
     \"23:59\""
)]
#[case(
    DELETE,
    "[stop]\noutage = \"ever\"\n",
    "6: stop.outage: `ever` is not a duration from 1ms to 1d | write a number and its unit, such as \"60s\" or \
     \"2m\", or \"never\""
)]
#[case(
    DELETE,
    "[stop]\noutage = \"0s\"\n",
    "6: stop.outage: `0s` is not a duration from 1ms to 1d | write a number and its unit, such as \"60s\" or \"2m\", \
     or \"never\""
)]
#[case(DELETE, "[stop]\noutage = 120\n", "6: stop.outage: expected a text in quotes, found integer `120`")]
#[case(DELETE, "[stop]\nuntil = 06:00\n", "6: stop.until: expected a text in quotes, found a table, date or time")]
#[case(
    DELETE,
    "[schedule]\nat = \"06:00\"\n",
    "5: unknown key `schedule` | expected one of `name`, `operation`, `priority`, `input`, `options`, `app`, \
     `limits`, `retry`, `guard`, `stop`, `report`, `notify`, `backup`"
)]
#[case(DELETE, "[[limits]]\ncalls_per_second = 5\n", "5: limits: expected a table, found a list")]
#[case("", "limits = [5]\n", "1: limits: expected a table, found a list")]
#[case(
    DELETE,
    "[limits]\r\n\r\n  calls = 5\r\n",
    "7: limits: unknown key `calls` | did you mean `calls_per_day`? expected one of `calls_per_second`, \
     `app_calls_per_second`, `calls_per_day`, `max_in_flight`, `cap_was_raised`"
)]
#[case(
    DELETE,
    "[stop]\nuntil = \"06:00\"\nwindow = \"02:00-06:00\"\n",
    "6: stop.until: the job has `stop.window` as well | remove one of them: a window also says when a session ends"
)]
#[case(
    "",
    "﻿xyz = 1\n",
    "1: unknown key `xyz` | expected one of `name`, `operation`, `priority`, `input`, `options`, `app`, \
     `limits`, `retry`, `guard`, `stop`, `report`, `notify`, `backup`"
)]
fn a_wrong_job_file_says_where_and_what_would_be_right(#[case] start: &str, #[case] rest: &str, #[case] says: &str) {
    assert_eq!(complaint(&format!("{start}{rest}")), says);
}

/// `line: message | hint`
fn complaint(text: &str) -> String {
    match load_text(text) {
        Ok(_) => "loads".to_owned(),
        Err(JobFileError::Read { source, .. }) => source.to_string(),
        Err(JobFileError::Wrong(diagnostic)) => {
            let hint = diagnostic.hint.as_ref().map(|hint| format!(" | {hint}")).unwrap_or_default();
            format!("{}: {}{hint}", diagnostic.line, diagnostic.message)
        }
    }
}

#[test]
fn the_error_has_file_line_and_key_and_the_hint_follows() {
    let error = load_text(&format!("{DELETE}[retry]\nmax_atempts = 3\n")).unwrap_err();
    let shown = error.with_hint();
    let end = "/job.toml:6: retry: unknown key `max_atempts`\nhint: did you mean `max_attempts`? expected one of \
               `max_attempts`, `base_delay`, `max_delay`, `carry_over`";
    assert!(shown.ends_with(end), "{shown}");
}

#[rstest]
#[case("secret_key = \"geheim\"\n")]
#[case("[app]\nusersig = \"geheim\"\n")]
#[case("app = { sdkappid = 1, SecretKey = \"geheim\" }\n")]
#[case("[app]\nsecret_key = \"geheim\n")]
fn a_secret_in_a_job_file_is_refused_and_never_shown(#[case] secret: &str) {
    let error = load_text(&format!("{secret}{DELETE}")).unwrap_err();
    let shown = format!("{} {error:?}", error.with_hint());
    assert!(!shown.contains("geheim"), "{shown}");
}

#[test]
fn a_job_file_that_is_not_there_is_named() {
    let error = load_job(Path::new("jobs/nowhere.toml"), &Env::default()).unwrap_err();
    let error = error.to_string();
    assert_eq!(error, "jobs/nowhere.toml: the job file cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_wrong_protected_list_is_named_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = folder.path().join("job.toml");
    fs::write(&job, format!("{DELETE}[guard]\nprotected = \"list\"\n")).expect("written");
    let line = DELETE.lines().count() + 2;
    let job = load(&job);
    let missing = load_protected(&job).unwrap_err().to_string();
    let list = folder.path().join("list");
    let expected = format!("guard.protected: {} cannot be read: No such file or directory", list.display());
    assert!(missing.contains(&format!("job.toml:{line}: {expected}")), "{missing}");
    fs::write(folder.path().join("list"), "ok\nadmin # boss\n").expect("written");
    let wrong = load_protected(&job).unwrap_err().to_string();
    assert!(wrong.contains("list: line 2: `admin # boss` has a comment"), "{wrong}");
}

#[test]
fn a_column_name_of_the_job_is_no_protected_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = folder.path().join("job.toml");
    let text = format!("{DELETE}columns = {{ UserID = \"member_no\" }}\n[guard]\nprotected = \"list\"\n");
    fs::write(&job, text).expect("written");
    for (list, reason) in [("ok\nmember_no\n", "is a header"), ("ok\nu2member_no\n", "ends with the column name")] {
        fs::write(folder.path().join("list"), list).expect("written");
        let wrong = load_protected(&load(&job)).unwrap_err().to_string();
        assert!(wrong.contains("list: line 2: ") && wrong.contains(reason), "{wrong}");
    }
}
